"""What has changed in the last week, as sentences with links."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.services.events.summaries import MOST, ChangeSummary, Happening
from shared.typography import number

_ENDS: Final = {
    "cancelled": "was stopped on request after",
    "interrupted": "was interrupted after",
    "failed": "failed after",
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence about something that happened, and the page that has more of it."""

    at: datetime
    text: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Week:
    """What has changed since a time: in short about single customers, then one sentence for everything else."""

    since: datetime
    customers: list[str]
    sentences: list[Sentence]


def changes_in_words(summary: ChangeSummary, names: Mapping[str, str]) -> Week:
    """Return what has changed, newest first.

    Parameters
    ----------
    names : what segments are called, by id.
    """
    items = [item for item in summary["items"] if not item["data"].get("dry_run")]
    sentences = [Sentence(item["at"], *_SENTENCES[item["type"]](item, names)) for item in items]
    return Week(summary["since"], [*_customers(summary, items)], sentences)


def _customers(summary: ChangeSummary, items: list[Happening]) -> Iterator[str]:
    files = [item["data"] for item in items if item["type"] == "import.completed"]
    moved = sum(each["segment_changes"]["count"] for each in files)  # these have entries of their own, too
    counts = {name.partition(".")[2]: count for name, count in summary["counts"].items()}
    counts["updated"] = max(0, counts["updated"] - moved) if counts["updated"] < MOST else MOST
    told = (
        (sum(each["created"] for each in files), "came with files"),
        (counts["created"], "added one by one or by another system"),
        (sum(each["updated"] for each in files), "changed by files"),
        (counts["updated"], "changed one by one or by another system"),
        (counts["deleted"], "deleted"),
        (counts["restored"], "restored"),
        (counts["erased"], "erased for good"),
    )
    yield from (f"{_many(count)} {what}" for count, what in told if count)


def _many(count: int) -> str:
    return f"{number(count)} or more" if count == MOST else number(count)


def _import(item: Happening, _names: Mapping[str, str]) -> tuple[str, str]:
    data = item["data"]
    moved = data["segment_changes"]["count"]
    rows = "1 row" if data["rows"] == 1 else f"{number(data['rows'])} rows"
    end = _ENDS.get(data["status"])
    told = (
        (data["created"], "new"),
        (data["updated"], "changed"),
        (data.get("deleted", 0), "deleted"),
        (moved, "moved to another segment"),
        (data["rejected"], "refused"),
    )
    parts = [f"{number(count)} {what}" for count, what in told if count] or ["nobody new or changed"]
    text = f"An import {end} {rows}" if end else f"A file of {rows} was imported"
    return f"{text}: {', '.join(parts)}.", f"/imports/{item['subject']['id']}"


def _recomputed(item: Happening, _names: Mapping[str, str]) -> tuple[str, str]:
    data = item["data"]
    done = data["rescored"] + data["assigned"]
    text = (
        f"{number(done)} customers were scored by {model(data['model_version'])}; {number(data['moved'])} of them "
        "moved to another segment."
    )
    return text, f"/models/{data['model_version']}"


def _activated(item: Happening, _names: Mapping[str, str]) -> tuple[str, str]:
    data = item["data"]
    back = item["type"] == "model.rolled_back"
    what = "was put in force again" if back else "was activated"
    outcome = " (nobody knows whether that came about)" if data.get("outcome") else ""
    reason = f": “{data['reason']}”" if data.get("reason") else "."
    version = data["to"] or item["subject"]["id"]
    return f"{_sentence(model(version))} {what}{outcome}{reason}", f"/models/{version}"


def _relabelled(item: Happening, names: Mapping[str, str]) -> tuple[str, str]:
    segment = item["subject"]["id"] or ""
    text = f"Name, description, owner or actions of the segment “{names.get(segment, segment)}” were changed."
    return text, f"/segments/{segment}"


_SENTENCES: Final[Mapping[str, Callable[[Happening, Mapping[str, str]], tuple[str, str]]]] = {
    "import.completed": _import,
    "assignments.recomputed": _recomputed,
    "model.activated": _activated,
    "model.rolled_back": _activated,
    "segment.relabelled": _relabelled,
}


def model(version: Any) -> str:
    """Return what people call a version: by the time when it was made, which its name begins with."""
    try:
        at = datetime.strptime(str(version)[:15], "%Y%m%dT%H%M%S")
    except ValueError:
        return f"the model {version}"
    return f"the model of {at.day} {at:%B %Y} ({at:%H:%M} UTC)"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
