"""What the gateway does, in terms of customers and segments; knows neither HTTP nor a database driver."""
