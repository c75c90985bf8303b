"""The web page: the people's view of what the API offers, rendered here and made lively by small ES modules.

    routes        one table of all pages: address, what it shows, and what a key must be allowed to see it
    controllers   one for each room: ask a service, render a template
    templates     Jinja2; `base.html` is around all of them, `components.html` has what they share
    static        style sheet and ES modules; nothing comes from another host

A page reads what it shows from the services, as the API's controllers do. What it changes, and whatever moves while one
looks at it, goes over the public API with the session's cookie (`static/api.js`): whatever can be done here can be done
by any client.
"""
