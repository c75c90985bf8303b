"""The gateway's application factory: ``gunicorn 'gateway.app:create_app()'`` or ``python -m gateway serve``."""

from __future__ import annotations

import gc
import os
import sys

from flask import Flask

from gateway.lean_flask import LeanFlask
from gateway.metrics import OfConcurrency
from gateway.middleware import cors, errors, middleware_by_work, request_environ, request_log, traced, unread_body
from gateway.middleware.security_headers import SecurityHeaders
from gateway.openapi import document_of
from gateway.pages import rendering
from gateway.routes import register
from gateway.services.customers.digest import log_digest
from gateway.services.events.feed import FeedService
from gateway.settings import Settings, read_settings
from gateway.wiring import Services, build_pages, build_resources, build_services
from shared.metrics.text import tidy_metrics
from shared.processes import end_with_parent
from shared.telemetry import logs, traces

_COLLECT_AFTER = (50_000, 10, 10)
"""New containers after which Python looks for cycles among them. After the usual 700 it would look through the rows of
an import, tens of thousands of dicts that are all still in use, again and again: a fifth of the import's CPU."""

_SWITCH_SECONDS = 0.05
"""How long a thread may go on computing while others wait for the interpreter. Each of those wakes up that often to ask
for it: after the usual 5 ms, hundreds of threads in a flood use up both cores by asking alone, and carry an eighth of
what they could. A request computes for a millisecond and lets others in whenever it waits."""

_FEED = "gateway.feed"


def collect_seldom() -> None:
    """Let Python look for reference cycles less often; what has none is freed at once as ever."""
    gc.set_threshold(*_COLLECT_AFTER)


def switch_seldom() -> None:
    """Let threads compute for longer before they make way; for a process that serves by many threads."""
    sys.setswitchinterval(_SWITCH_SECONDS)


def create_app(settings: Settings | None = None, services: Services | None = None) -> Flask:
    """Return the gateway.

    Parameters
    ----------
    settings : read from the environment if None.
    services : built on MongoDB and the model service over HTTP if None; tests bring services on fakes.
    """
    settings = settings or read_settings()
    request_environ.drop_request_variables(os.environ)
    end_with_parent()
    collect_seldom()
    logs.configure(settings.log_level, settings.log_format)
    traces.begin("gateway")
    app = LeanFlask("gateway", static_folder=None)
    app.url_map.merge_slashes = False  # a doubled slash is an unknown address, not a redirect to another
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    _surround(app, settings)
    request_log.register(app, log_digest(settings.secret_key))
    request_environ.register(app)
    unread_body.register(app, settings.max_upload_bytes)
    errors.register(app)
    rendering.register(app, settings.currency)
    traced.register(app)
    services = services or build_services(app, settings)
    services.access.authentication.begin()
    quick = 3 * max(settings.bulk_deadline, settings.mongodb_timeout)  # read, score, write
    around = middleware_by_work(
        services.access.authentication,
        services.access.sessions,
        services.access.limits,
        services.access.idempotency,
        services.access.concurrency_limits,
        settings.metrics_networks,
        lease=quick,
        long_lease=quick + settings.analysis_deadline,
    )
    tidy_metrics()
    OfConcurrency(services.access.concurrency_limits).follow()
    app.extensions[_FEED] = services.events.feed
    resources = build_resources(services, settings, lambda: document_of(app))
    register(app, resources, around, build_pages(services, settings))
    return app


def let_go(app: Flask) -> None:
    """Answer those who wait for something to happen: the process is to end, and they would hold it up."""
    feed: FeedService = app.extensions[_FEED]
    feed.close()


def _surround(app: Flask, settings: Settings) -> None:
    cors.allow(app, settings.cors_origins)
    app.wsgi_app = SecurityHeaders(app.wsgi_app, settings.hsts_seconds)  # type: ignore[method-assign]  # Flask's own way
    app.wsgi_app = request_environ.RequestEnviron(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
