"""What is true of every store of checks for drift; subclasses give an empty one."""

from __future__ import annotations

from datetime import timedelta

from gateway.services.clock import now
from gateway.services.models.drift_watch import DriftChecks
from shared.model_contract import Drift, FeatureDrift

DAY = timedelta(days=1)


def found(version: str = "v1") -> Drift:
    """Return a drift of one feature."""
    feature = FeatureDrift(feature="BALANCE", psi=0.25, limit=0.1, bins=10, tier="material")
    return Drift(
        model_version=version,
        verdict="watch",
        rows=1000,
        minimum_rows=500,
        as_of="2030-01-01T00:00:00Z",
        features=[feature],
        segment_mix=None,
        distance=None,
        remarks=[],
    )


class DriftChecksContract:
    """Needs `checks`."""

    def test_none_yet(self, checks: DriftChecks) -> None:
        assert checks.latest() is None
        assert checks.claim("v1", DAY, 60)
        assert checks.latest() is None

    def test_what_was_kept_last_is_found(self, checks: DriftChecks) -> None:
        checks.keep(found("v0"))
        checks.keep(found("v1"), 700)
        last = checks.latest()
        assert last is not None
        assert (last.model_version, last.verdict, last.customers) == ("v1", "watch", 700)
        assert last.indexes == {"BALANCE": 0.25}
        assert abs(last.at - now()) < timedelta(minutes=1)

    def test_one_claims_it_until_it_has_been_kept_or_its_time_is_up(self, checks: DriftChecks) -> None:
        assert checks.claim("v1", DAY, 60)
        assert not checks.claim("v1", timedelta(0), 60)
        assert not checks.claim("v2", timedelta(0), 60)
        checks.keep(found("v1"))
        assert checks.claim("v1", timedelta(0), 0)
        assert checks.claim("v1", timedelta(0), 60)

    def test_what_was_checked_lately_is_not_checked_again_but_another_version_is(self, checks: DriftChecks) -> None:
        checks.keep(found("v1"))
        assert not checks.claim("v1", DAY, 60)
        assert checks.claim("v2", DAY, 60)
