"""What the variable parts of an address may look like; anything else is no address of ours."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import BaseConverter

from gateway.schemas.queries import VERSION_OR_ACTIVE


class VersionConverter(BaseConverter):
    """A model version's name, or ``active``."""

    regex = VERSION_OR_ACTIVE


class NameConverter(BaseConverter):
    """The name of something that the model service keeps: a training, a picture."""

    regex = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


def register(app: Flask) -> None:
    """Make the converters known to the application's routes."""
    app.url_map.converters |= {"version": VersionConverter, "name": NameConverter}
