"""The report of a version: one HTML file that holds everything it shows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from model_service.report import words
from model_service.report.gallery import Picture, Subject

TEMPLATE = "report.html.jinja"


class Drawn(NamedTuple):
    """A picture and its SVG file."""

    picture: Picture
    svg: bytes

    @property
    def address(self) -> str:
        """The file as a data address: as an image it can run no script, and ids of two files cannot clash."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


def render(subject: Subject, drawn: Sequence[Drawn], notes: Sequence[str]) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    notes : what was left out of the training data, in words.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"in_unit": words.in_unit, "unit": words.unit}
    manifest = subject.manifest
    return environment.get_template(TEMPLATE).render(
        manifest=manifest,
        evidence=manifest.get("evidence"),
        comparison=subject.comparison,
        pictures={d.picture.name: d for d in drawn},
        notes=notes,
        limits=words.limits(manifest),
        glossary=words.GLOSSARY,
    )
