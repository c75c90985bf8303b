"""The gateway's application factory: ``gunicorn 'gateway.app:create_app()'`` or ``python -m gateway serve``."""

from __future__ import annotations

from flask import Flask

from gateway import error_handlers, request_log
from gateway.guards.occupancy import within
from gateway.guards.parameters import known_parameters
from gateway.routes import converters, register
from gateway.routes.api import (
    API,
    customer_routes,
    long_routes,
    model_routes,
    picture_routes,
    registry_routes,
    service_routes,
)
from gateway.settings import Settings, read_settings
from gateway.wiring import Services, build_controllers, build_services


def create_app(settings: Settings | None = None, services: Services | None = None) -> Flask:
    """Return the gateway.

    Parameters
    ----------
    settings : read from the environment if None.
    services : built on MongoDB and the model service over HTTP if None; tests bring services on fakes.
    """
    settings = settings or read_settings()
    request_log.configure(settings.log_level)
    app = Flask("gateway", static_folder=None)
    app.url_map.merge_slashes = False  # a doubled slash is an unknown address, not a redirect to another
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    request_log.register(app)
    error_handlers.register(app)
    converters.register(app)
    services = services or build_services(app, settings)
    c, bounds = build_controllers(services, settings), services.bounds
    guards = (known_parameters,)
    register(app, API, customer_routes(c.customers, c.customer_segments), guards)
    waiting = (*guards, within(bounds.waits))
    register(app, API, model_routes(c.predictions, c.segments), waiting)
    register(app, API, registry_routes(c.models, c.trainings), waiting)
    register(app, API, picture_routes(c.pictures), waiting)
    register(app, API, long_routes(c.trainings, c.analyses), (*guards, within(bounds.long_calls, bounds.waits)))
    register(app, "", service_routes(c.service), guards)
    return app
