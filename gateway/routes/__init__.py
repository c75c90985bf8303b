"""Which address and method lead to which controller method: tables, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

Route = tuple[str, str, Callable[..., Any]]
"""(method, path, controller method)."""


def register(app: Flask, prefix: str, routes: tuple[Route, ...]) -> None:
    """Add a table of routes to the application."""
    for method, path, view in routes:
        app.add_url_rule(prefix + path, f"{method} {prefix}{path}", view, methods=[method])
