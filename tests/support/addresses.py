"""An example of every address of the gateway, for tests that go over all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fakes.registry import OLD
from flask import Flask

from gateway.routes import Route, registered

EXAMPLES = {"cust_id": "C1", "key_id": "AdminAdmin01", "segment_id": "seg-01", "version": OLD, "name": "elbow"}
EXAMPLES |= {"training_id": "20240101T000000.5Z-ae30", "kind": "svg", "file": "swagger-ui.css"}


def example_of(rule: str) -> str:
    """Return an address that a routing rule such as ``/customers/<cust_id>`` matches."""
    return re.sub(r"<(?:[^<>]*:)?(\w+)>", lambda part: EXAMPLES.get(part[1], "a1"), rule)


def routes_of(app: Flask) -> Iterator[tuple[str, Route]]:
    """Yield every route of an application with its whole rule."""
    for resource in registered(app):
        for route in resource.routes:
            yield resource.prefix + route.path, route
