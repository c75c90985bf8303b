"""How a process of the gateway runs."""

from __future__ import annotations

import gc

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway.controllers import slow_clients
from gateway.controllers.service import DocumentationController
from gateway.middleware import cors as cross_origin
from gateway.middleware import errors as error_handlers
from gateway.middleware import request_log
from gateway.middleware.authenticate import authorized
from gateway.middleware.concurrency import within
from gateway.middleware.idempotency import idempotent
from gateway.middleware.query_parameters import known_parameters
from gateway.middleware.rate_limit import limited, strangers_limited
from gateway.middleware.security_headers import ResponseHeaders
from gateway.openapi import document_of
from gateway.routes import converters, register
from gateway.routes.api import (
    API,
    audit_routes,
    bulk_routes,
    customer_routes,
    deletion_routes,
    documentation_routes,
    file_routes,
    import_routes,
    interface_routes,
    key_routes,
    long_routes,
    model_routes,
    picture_routes,
    registry_routes,
    service_routes,
)
from gateway.settings import Settings, read_settings
from gateway.wiring import Services, build_controllers, build_services

_COLLECT_AFTER = (50_000, 10, 10)
"""New containers after which Python looks for cycles among them. After the usual 700 it would look through the rows of
an import, tens of thousands of dicts that are all still in use, again and again: a fifth of the import's CPU."""


def collect_seldom() -> None:
    """Let Python look for reference cycles less often; what has none is freed at once as ever."""
    gc.set_threshold(*_COLLECT_AFTER)


def create_app(settings: Settings | None = None, services: Services | None = None) -> Flask:
    """Return the gateway.

    Parameters
    ----------
    settings : read from the environment if None.
    services : built on MongoDB and the model service over HTTP if None; tests bring services on fakes.
    """
    settings = settings or read_settings()
    collect_seldom()
    request_log.configure(settings.log_level)
    app = Flask("gateway", static_folder=None)
    app.url_map.merge_slashes = False  # a doubled slash is an unknown address, not a redirect to another
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    slow_clients.register(app, settings.request_timeout, settings.threads)
    _surround(app, settings)
    request_log.register(app)
    error_handlers.register(app)
    converters.register(app)
    services = services or build_services(app, settings)
    c, bounds = build_controllers(services, settings), services.bounds
    short = 3 * max(settings.bulk_deadline, settings.mongodb_timeout)  # read, score, write
    limits = services.limits
    callers = (strangers_limited(limits.strangers), authorized(services.authentication))
    before = (*callers, limited(limits.default), known_parameters)
    guards = (*before, idempotent(services.idempotency, short))
    register(app, API, customer_routes(c.customers, c.customer_lists, c.customer_segments), guards)
    register(app, API, bulk_routes(c.batches), guards)
    register(app, API, import_routes(c.imports), guards)
    register(app, API, deletion_routes(c.deletions, c.erasures), guards)
    register(app, API, key_routes(c.api_keys), guards)
    register(app, API, audit_routes(c.audit), guards)
    waiting = (*guards, within(bounds.waits))
    register(app, API, model_routes(c.predictions, c.segments), waiting)
    register(app, API, registry_routes(c.models, c.trainings), waiting)
    register(app, API, picture_routes(c.pictures), waiting)
    bulk = (*callers, limited(limits.bulk), known_parameters)
    long = (*bulk, idempotent(services.idempotency, short + settings.analysis_deadline))
    register(app, API, file_routes(c.imports, c.exports), (*long, within(bounds.long_calls)))
    register(app, API, long_routes(c.trainings, c.analyses), (*long, within(bounds.long_calls, bounds.waits)))
    register(app, "", service_routes(c.service), guards)
    documentation = DocumentationController(lambda: document_of(app), services.registry)
    register(app, "", documentation_routes(documentation), guards)
    register(app, "", interface_routes(documentation), waiting)
    return app


def _surround(app: Flask, settings: Settings) -> None:
    cross_origin.allow(app, settings.cors_origins)
    app.wsgi_app = ResponseHeaders(app.wsgi_app, settings.hsts_seconds)  # type: ignore[method-assign]  # Flask's own way
    if proxies := settings.trusted_proxies:  # without any, a client could name whichever address it likes
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
