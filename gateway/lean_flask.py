"""Flask without what this API does not use: sessions, signals, coroutines, routes by host.

Each request would pay for looking for them: a get 0.035 of 0.156 ms, not counting server and driver. Overridden are the
methods that Flask offers for it. Blueprints and functions for the end of a request are looked for where there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter


class _NoSessions(SessionInterface):
    """The same empty session for every request; it refuses to be written to."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002
        return self._none


class LeanFlask(Flask):
    """A Flask application that is an API."""

    session_interface = _NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: there are no coroutines to be wrapped."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds the request's route by its path and method; which host was asked is no matter here."""
        if request is None:
            return super().create_url_adapter(request)
        environ = request.environ
        return MapAdapter(
            self.url_map,
            server_name=environ.get("HTTP_HOST", ""),
            script_name=request.root_path or "/",
            subdomain="",
            url_scheme=request.scheme,
            path_info=request.path,
            default_method=request.method,
            query_args=environ.get("QUERY_STRING", ""),
        )

    def full_dispatch_request(self) -> Response:
        """Answer the request; an error is one of the answers."""
        try:
            answer = self.preprocess_request()
            if answer is None:
                answer = self.dispatch_request()
        except Exception as error:  # noqa: BLE001 -- Flask's own words; what has no handler is raised again
            answer = self.handle_user_exception(error)
        return self.finalize_request(answer)

    def finalize_request(self, rv: Any, from_error_handler: bool = False) -> Response:
        """Let the answer pass all that the application has registered for answers."""
        if from_error_handler:
            return super().finalize_request(rv, from_error_handler)
        return self.process_response(self.make_response(rv))

    def preprocess_request(self) -> Any:
        """Ask what the application has registered for requests; the first that has an answer is the last one asked."""
        if self.blueprints:
            return super().preprocess_request()
        for ask in self.before_request_funcs.get(None, ()):
            if (answer := ask()) is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        """Let the answer pass; what was registered last is asked first."""
        if self.blueprints:
            return super().process_response(response)
        for change in reversed(self.after_request_funcs.get(None, ())):
            response = change(response)
        return response

    def do_teardown_request(self, *error: Any) -> None:
        """Do what is registered for the end of requests."""
        if self.teardown_request_funcs:
            super().do_teardown_request(*error)

    def do_teardown_appcontext(self, *error: Any) -> None:
        """Do what is registered for the end of contexts."""
        if self.teardown_appcontext_funcs:
            super().do_teardown_appcontext(*error)
