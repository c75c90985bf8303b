"""One controller for each room of the web page: it asks a service and renders a template."""
