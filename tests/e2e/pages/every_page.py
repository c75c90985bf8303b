"""Every page of a running system, by its address: for the tests and pictures that go over all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import requests
from fakes.gateway import FakeGateway

from gateway.routes import registered_pages
from tests.e2e.conftest import wait_until


def addresses(known: Mapping[str, str]) -> list[str]:
    """Return an address of every page; `known` has a value for each variable part of one.

    Raises
    ------
    KeyError
        naming a variable of which none is known: a new page needs an example here.
    """
    routes = registered_pages(FakeGateway().app)
    shown = [r.path for r in routes if r.method == "GET" and not r.path.startswith(("/static/", "/sign-in"))]
    return sorted({re.sub(r"<(?:[^<>]*:)?(\w+)>", lambda part: known[part[1]], path) for path in shown})


def known_in(base: str, http: requests.Session) -> dict[str, str]:
    """Return an example of each variable part, of what the system holds; what there is none of yet is made."""

    def first(path: str, name: str) -> str:
        return str(http.get(f"{base}/api/v1/{path}", timeout=30).json()["items"][0][name])

    hook = http.post(f"{base}/api/v1/webhooks", json={"url": "https://crm.invalid/hooks"}, timeout=30).json()
    return {
        "webhook_id": str(hook["id"]),
        "cust_id": first("customers?limit=1", "CUST_ID"),
        "segment_id": first("segments", "id"),
        "version": first("models", "version"),
        "training_id": _training(base, http),
        "import_id": first("imports", "id"),
    }


def _training(base: str, http: requests.Session) -> str:
    """Return a training; where there was none, one of a file that it cannot use, which ends at once."""
    address = f"{base}/api/v1/trainings"
    if not http.get(address, timeout=30).json()["items"]:
        csv = {"Content-Type": "text/csv"}
        http.post(f"{base}/api/v1/models", data="BALANCE\n1\n", headers=csv, timeout=30).raise_for_status()

    def ended() -> bool:
        return http.get(address, timeout=30).json()["items"][0]["status"] not in ("queued", "running")

    wait_until(ended, "the training has ended", 120)
    return str(http.get(address, timeout=30).json()["items"][0]["id"])
