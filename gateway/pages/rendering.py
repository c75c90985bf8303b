"""Templates become pages: one environment, with how numbers, money and times are written, and who looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from flask import Flask, Response, current_app, g, request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from gateway.pages.static_files import address_of
from gateway.services.principal import Principal, Scope
from shared import typography
from shared.features import BY_NAME, Kind
from shared.money import in_unit, money

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load: what comes from here, in files of its own."""

_HEADERS: Final = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
"""With "no-referrer", browsers say of a page's own forms, too, that they come from nowhere (``Origin: null``)."""

_EXTENSION: Final = "gateway.pages"
_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class Room:
    """An entry of the navigation; each of `scopes` opens its first page, which `text` describes where that is shown."""

    name: str
    address: str
    scopes: tuple[Scope, ...]
    text: str = ""
    besides: str = ""
    """Another address that its pages are under."""

    def holds(self, address: str) -> bool:
        """Whether the page at `address` is one of it."""
        return any(address == own or address.startswith(f"{own}/") for own in (self.address, self.besides) if own)


NAVIGATION: Final = (
    Room("Overview", "/overview", tuple(Scope)),
    Room("Segments", "/segments", (Scope.MODELS_READ,)),
    Room("Customers", "/customers", (Scope.CUSTOMERS_READ,)),
    Room("What if", "/what-if", (Scope.PREDICTIONS,)),
    Room("Import", "/imports", (Scope.CUSTOMERS_WRITE,)),
    Room("Models", "/models", (Scope.MODELS_READ,), besides="/trainings"),
    Room("Settings", "/settings", (Scope.MODELS_READ, Scope.WEBHOOKS)),
)


def register(app: Flask, currency: str) -> None:
    """Give the application its templates."""
    app.extensions[_EXTENSION] = _environment(currency)


def page(template: str, status: int = 200, **values: Any) -> Response:
    """Return a page.

    Parameters
    ----------
    values : what the template shows; its `title` becomes the page's.
    """
    environment: Environment = current_app.extensions[_EXTENSION]
    text = environment.get_template(template).render(viewer=_viewer(), here=quote(request.path), **values)
    return Response(text, status, _HEADERS, content_type="text/html; charset=utf-8")


def first_page(principal: Principal) -> str:
    """Return the address of the first page that somebody may open."""
    return next(iter(_Viewer(principal, "").rooms), NAVIGATION[0]).address


@dataclass(frozen=True, slots=True)
class _Viewer:
    principal: Principal | None
    csrf_token: str

    def may(self, scope: str) -> bool:
        """Whether the viewer's key has a scope, such as "customers:write"."""
        return self.principal is not None and self.principal.may(Scope(scope))

    @property
    def rooms(self) -> list[Room]:
        """What of the navigation the viewer may open."""
        return self.open(NAVIGATION)

    def open(self, rooms: Sequence[Room]) -> list[Room]:
        """Return those rooms that the viewer may open."""
        return [room for room in rooms if any(map(self.may, room.scopes))]


def _viewer() -> _Viewer:
    session = g.get("session")
    return _Viewer(g.get("principal"), session.csrf_token if session else "")


@cache
def _environment(currency: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("gateway.pages"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"static": address_of, "currency": currency, "features": BY_NAME}
    environment.globals["may"] = lambda scope: _viewer().may(scope)  # for macros, which are not given the viewer
    filters: Mapping[str, Callable[..., Any]] = {
        "number": typography.number,
        "percent": typography.percent,
        "money": lambda value: money(value, currency),
        "exactly": lambda value, feature: _exactly(value, feature, currency),
        "in_unit": lambda value, feature: in_unit(value, feature, currency),
        "time": _time,
        "day": lambda moment: _time(moment, "day"),
    }
    environment.filters |= filters
    return environment


def _exactly(value: float, feature: str, currency: str) -> str:
    """Write a value that somebody has chosen, with all decimals that it has been given."""
    kind = BY_NAME[feature].kind if feature in BY_NAME else Kind.FREQUENCY
    if kind is Kind.FREQUENCY:
        return f"{typography.number(value * 100, _DECIMALS)}%"
    return money(value, currency, _DECIMALS) if kind is Kind.AMOUNT else typography.number(value, _DECIMALS)


def _time(moment: datetime | str | None, kind: str = "minute") -> str:
    """Write a time; the browser shows it in the time zone of whoever looks (`static/app.js`)."""
    if moment is None:
        return "never"
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    text = f"{at.day} {at:%b %Y}" if kind == "day" else f"{at.day} {at:%b %Y, %H:%M} UTC"
    written = f"{at.replace(tzinfo=None).isoformat(timespec='seconds')}Z"
    return Markup('<time datetime="{}" data-show="{}">{}</time>').format(written, kind, text)
