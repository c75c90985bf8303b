"""What needs somebody's attention now, in plain words: put together from what is known, so that nothing is counted.

For people who look at a page, and for whatever watches this service without Prometheus. The rules that wake somebody up
are those of `deploy/prometheus/`: they also know how long something has been so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypedDict

from gateway.services.assignments.status import AssignmentsStatus, AssignmentsStatusService
from gateway.services.clock import now
from gateway.services.errors import SegmentsBeingCounted
from gateway.services.imports.records import ImportSummary
from gateway.services.models.drift_watch import DriftCheck
from gateway.services.models.segment_snapshots import SegmentSizes
from gateway.services.service import Health, HealthService
from shared.features import BY_NAME
from shared.typography import number

Severity = Literal["critical", "warning", "info"]
"""``critical``: something does not work. ``warning``: somebody should do something soon. ``info``: it passes."""
AlertCode = Literal[
    "model_service_away",
    "model_fallback",
    "labels_damaged",
    "features_differ",
    "schema_incomplete",
    "no_worker",
    "customers_waiting",
    "rescoring_standing_still",
    "change_log_behind",
    "sizes_not_counted",
    "sizes_disagree",
    "drift_watch",
    "drift_retrain",
    "import_failed",
    "import_interrupted",
    "webhooks_failing",
    "webhooks_disabled",
]

BEHIND: Final = timedelta(seconds=60)
"""How long a change may be on its way into the log: a second or two, and as long as a worker takes to be restarted."""
_SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning", "info")
_NAMED_FEATURES: Final = 3


class Alert(TypedDict):
    """Something that needs attention.

    Attributes
    ----------
    code : what it is; stays the same, for programs.
    severity : how urgent it is.
    title, detail : what is the matter, why, and what becomes of it, for people.
    since : since when, where that is known.
    page : the address of the page where one can do something about it.
    """

    code: AlertCode
    severity: Severity
    title: str
    detail: str
    since: datetime | None
    page: str


class Alerts(TypedDict):
    """All that needs attention ``as_of`` now, the most urgent first; nothing where all is well."""

    items: list[Alert]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class _Known:
    """What alerts are made of; `pending` customers have no segment, None where nobody has counted them."""

    health: Health
    status: AssignmentsStatus
    pending: int | None
    drift: DriftCheck | None
    imported: ImportSummary | None


class AlertService:
    """Says what needs attention.

    Parameters
    ----------
    drift : returns what was found last.
    imported : returns the last import.
    """

    def __init__(
        self,
        health: HealthService,
        assignments: AssignmentsStatusService,
        sizes: SegmentSizes,
        drift: Callable[[], DriftCheck | None],
        imported: Callable[[], ImportSummary | None],
    ) -> None:
        self._health = health
        self._assignments = assignments
        self._sizes = sizes
        self._drift = drift
        self._imported = imported

    def now(self) -> Alerts:
        """Return all that needs attention.

        Raises
        ------
        StoreError
            without the database nothing is known.
        """
        known = _Known(
            health=self._health.check(),
            status=self._assignments.status(),
            pending=self._pending(),
            drift=self._drift(),
            imported=self._imported(),
        )
        found = [alert for rule in _RULES for alert in rule(known)]
        return Alerts(items=sorted(found, key=lambda alert: _SEVERITIES.index(alert["severity"])), as_of=now())

    def _pending(self) -> int | None:
        try:
            return self._sizes.now().snapshot.pending
        except SegmentsBeingCounted:
            return None


def _alert(
    code: AlertCode, severity: Severity, title: str, detail: str, page: str, since: datetime | None = None
) -> Alert:
    return Alert(code=code, severity=severity, title=title, detail=detail, since=since, page=page)


def _model(known: _Known) -> Iterator[Alert]:
    health = known.health
    if health["model_service"] != "ok":
        detail = (
            f"{health['model_service']} Customers are stored all the same and get their segment when it is back; until "
            "then there are no predictions, explanations or trainings."
        )
        yield _alert("model_service_away", "critical", "The model service does not answer", detail, "/models")
    if health["fallback"]:
        yield _alert("model_fallback", "critical", "An older model is in use", health["fallback"], "/models")
    if health["labels"]:
        title = "The names that people gave to segments are not shown"
        yield _alert("labels_damaged", "warning", title, health["labels"], "/segments")
    if health["features"]:
        title = "The data and the model do not have the same columns"
        yield _alert("features_differ", "warning", title, health["features"], "/models")
    if health["schema_missing"]:
        detail = (
            f"{number(len(health['schema_missing']))} indexes and rules are still to be made by the worker. Lists are "
            "slower until then."
        )
        yield _alert("schema_incomplete", "info", "The database is being prepared", detail, "/overview")


def _scoring(known: _Known) -> Iterator[Alert]:
    rescoring = known.status["rescoring"]
    still, left = rescoring["state"] == "standing_still", rescoring["left"]
    reason = rescoring["reason"] or ""
    if not rescoring["workers"]:
        detail = f"{reason} Until one is started nobody gives new customers a segment if that was not possible at once."
        yield _alert("no_worker", "critical", "No worker is running", detail, "/overview", rescoring["since"])
    elif still and left != 0:
        how_many = f"{number(left)} customers are left. " if left else ""
        title = "Customers are not being scored"
        yield _alert(
            "rescoring_standing_still", "warning", title, f"{how_many}{reason}", "/overview", rescoring["since"]
        )
    if known.pending:
        yield _waiting(known.pending, reason if still else "", known)


def _waiting(pending: int, reason: str, known: _Known) -> Alert:
    why = reason or known.health["features"] or "The worker is about to give it to them."
    title = "1 customer waits for a segment" if pending == 1 else f"{number(pending)} customers wait for a segment"
    page, since = "/customers?segment_status=pending", known.status["rescoring"]["since"]
    return _alert("customers_waiting", "warning" if reason else "info", title, why, page, since if reason else None)


def _log(known: _Known) -> Iterator[Alert]:
    relay = known.status["relay"]
    if relay["oldest"] is not None and relay["oldest"] < now() - BEHIND:
        detail = (
            f"{number(relay['waiting'])} changes wait to be written into the change log. They are safe, but history, "
            "audit trail and events do not show them yet. The worker does this."
        )
        yield _alert("change_log_behind", "warning", "The change log is behind", detail, "/overview", relay["oldest"])


def _sizes(known: _Known) -> Iterator[Alert]:
    snapshots = known.status["snapshots"]
    if snapshots["state"] == "failed":
        reason = snapshots["state_reason"] or "Nobody says why."
        title = "The customers of each segment are not being counted"
        yield _alert("sizes_not_counted", "warning", title, reason, "/segments", snapshots["state_since"])
    compared = snapshots["comparison"]
    if compared and not compared["agrees"]:
        detail = f"They are being counted anew. {'; '.join(compared['differences'])}."
        title = "The sizes of segments do not agree with the list of customers"
        yield _alert("sizes_disagree", "warning", title, detail, "/segments", compared["at"])


def _drift(known: _Known) -> Iterator[Alert]:
    check = known.drift
    if check is None or known.health["model_version"] not in (None, check.model_version):
        return
    shifted = sorted(check.indexes, key=lambda name: -check.indexes[name])[:_NAMED_FEATURES]
    named = ", ".join(BY_NAME[name].label.lower() if name in BY_NAME else name for name in shifted)
    where = f" Most of it is in {named}." if named else ""
    if check.verdict == "retrain":
        detail = (
            f"The stored customers are not those that the segments were made from any more.{where} Train a new model."
        )
        yield _alert("drift_retrain", "warning", "The segments are out of date", detail, "/models", check.at)
    if check.verdict == "watch":
        detail = f"The stored customers begin to differ from those that the segments were made from.{where}"
        yield _alert("drift_watch", "info", "The customers are changing", detail, "/models", check.at)


def _imports(known: _Known) -> Iterator[Alert]:
    record = known.imported
    if record is None or record["status"] not in ("failed", "interrupted"):
        return
    stopped = f"It stopped after {number(record['rows'])} rows: {record['reason']}"
    page, since = f"/imports/{record['id']}", record["finished_at"] or record["updated_at"]
    if record["status"] == "failed":
        yield _alert("import_failed", "warning", "The last import failed", stopped, page, since)
    else:
        detail = f"{stopped} What was stored stays; sending the file again finishes it."
        yield _alert("import_interrupted", "warning", "The last import was interrupted", detail, page, since)


def _webhooks(known: _Known) -> Iterator[Alert]:
    deliveries, page = known.status["deliveries"], "/settings/webhooks"
    if disabled := deliveries["disabled"]:
        which = "1 webhook is" if disabled == 1 else f"{number(disabled)} webhooks are"
        detail = f"{which} not delivered to any more. What happened since can be sent when the receiver works again."
        yield _alert("webhooks_disabled", "warning", "Webhooks were switched off after long failure", detail, page)
    if failing := deliveries["failing"]:
        which = "1 webhook does" if failing == 1 else f"{number(failing)} webhooks do"
        detail = f"{which} not accept what is sent. It is sent again, in order, until it is accepted."
        yield _alert("webhooks_failing", "warning", "Another system misses events", detail, page, deliveries["since"])


_RULES: Final = (_model, _scoring, _log, _sizes, _drift, _imports, _webhooks)
