"""The pages about the model's versions and trainings: what they say, and to whom they offer what."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from fakes.api_keys import key_of
from fakes.gateway import FakeGateway
from fakes.model import DOWN
from fakes.registry import NEW, OLD, FakeRegistry, drift, training
from hypothesis import given
from hypothesis import strategies as st
from support.sessions import browser_of

from gateway.pages.controllers.models import steps
from gateway.services.assignments.reports import Report
from gateway.services.errors import RegistryRefusal
from gateway.services.models.registry import Activations
from gateway.services.principal import Scope
from shared.model_contract import Gate, ModelList

KEY = "csk_000000000007_" + "k" * 43
SCRIPT = "<img src=x onerror=alert(1)>"
SHOWN = "&lt;img src=x onerror=alert(1)&gt;"


def _page(gateway: FakeGateway, address: str, *scopes: Scope, status: int = 200) -> str:
    """Return what somebody with these scopes sees, without the frame; an administrator if none are given."""
    if scopes:
        gateway.keys.insert(key_of(KEY, list(scopes)))
    answer = (browser_of(gateway, KEY) if scopes else browser_of(gateway)).get(address)
    assert answer.status_code == status, answer.text
    return re.sub(r"\s+", " ", re.search("(?s)<main.*</main>", answer.text)[0])  # type: ignore[index]


class TestVersions:
    def test_which_is_in_use_since_when_and_why_and_where_a_rollback_leads(self, gateway: FakeGateway) -> None:
        gateway.registry.activate(NEW, {"reason": SCRIPT, "by": "Ann", "force": True})
        page = _page(gateway, "/models")
        assert page.count(f"<dt>Because</dt><dd>{SHOWN}</dd>") == 1
        assert "by Ann" in page
        assert "against the checks" in page
        assert f'data-roll-back="{OLD}" data-active="{NEW}"' in page

    def test_what_waits_is_counted_and_leads_to_its_page(self, gateway: FakeGateway) -> None:
        page = _page(gateway, "/models")
        assert "1 version has never been in use and waits." in page
        assert f'href="/models/{NEW}"' in page
        assert "data-roll-back" not in page  # nothing was in use before

    def test_a_damaged_version_is_named_and_another_serves(self, gateway: FakeGateway) -> None:
        class Damaged(FakeRegistry):
            def models(self) -> ModelList:
                found = super().models()
                found["items"][1] |= {"status": "damaged", "k": None, "rows": None, "data": None}
                return found | {"serving": NEW}  # type: ignore[return-value]

        gateway.registry = Damaged()
        page = _page(gateway, "/models")
        assert f"the version {NEW} serves in its place" in page
        assert "cannot be read" in page

    def test_a_damaged_history_hides_nothing_else(self, gateway: FakeGateway) -> None:
        class Damaged(FakeRegistry):
            def activations(self) -> Activations:
                raise RegistryRefusal(409, "artefact_damaged", "active.json cannot be read")

        gateway.registry = Damaged()
        page = _page(gateway, "/models")
        assert "The history of activations cannot be read." in page
        assert f'href="/models/{NEW}"' in page

    def test_who_may_only_read_is_offered_nothing_to_change(self, gateway: FakeGateway) -> None:
        gateway.registry.activate(NEW, {})
        page = _page(gateway, "/models", Scope.MODELS_READ)
        assert "data-train" not in page
        assert "data-roll-back" not in page
        assert "data-rescoring" not in page  # that is about customers
        version = browser_of(gateway, KEY).get(f"/models/{OLD}").text
        assert "Put it in use" in version
        assert "data-activate" not in version

    def test_without_the_model_service_the_page_says_so_and_shows_what_is_known(self, gateway: FakeGateway) -> None:
        gateway.drift.keep(drift(OLD, 10))
        gateway.registry.failure = DOWN
        page = _page(gateway, "/models")
        assert "The model service does not answer." in page
        assert "There are too few customers to tell." in page
        assert "data-train" not in page
        assert "Not available at the moment" in _page(gateway, f"/models/{OLD}", status=503)

    def test_the_note_of_its_training_stands_beside_a_version(self, gateway: FakeGateway) -> None:
        gateway.registry.records["t1"] = training("t1") | {"status": "completed", "version": NEW, "note": SCRIPT}  # type: ignore[assignment]
        assert _page(gateway, "/models").count(f'<span class="soft note">{SHOWN}</span>') == 1

    def test_a_training_that_runs_is_named_first(self, gateway: FakeGateway) -> None:
        gateway.registry.records["t1"] = training("t1") | {"status": "running"}  # type: ignore[assignment]
        page = _page(gateway, "/models")
        assert page.index('<a href="/trainings/t1">Follow it</a>') < page.index("In use now")


@pytest.mark.parametrize(
    ("verdict", "index", "words"),
    [
        ("stable", 0.05, "Nothing about them has changed enough to matter."),
        ("watch", 0.2, "It is not urgent"),
        ("retrain", 0.4, "then train a new version"),
    ],
)
def test_drift_is_said_in_words_with_what_has_changed_most(
    gateway: FakeGateway, verdict: Any, index: float, words: str
) -> None:
    features: Any = [
        {"feature": name, "psi": psi, "limit": 0.01, "bins": 5, "tier": "material"}
        for name, psi in (("PAYMENTS", 0.01), ("ONEOFF_PURCHASES", index))
    ]
    gateway.drift.keep(drift(OLD, 1000) | {"verdict": verdict, "features": features})
    card = _page(gateway, "/models").split("data-result")[1].split("data-check-drift")[0]
    assert words in card
    assert ("One-off purchases" in card) is (index >= 0.1)
    assert not re.search("ONEOFF_PURCHASES|PAYMENTS", card)


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        (Report("running", datetime(2026, 1, 1), model_version=OLD, left=1200), "1,200 are left"),
        (Report("standing_still", datetime(2026, 1, 1), "Away.", model_version=OLD, left=5), "It stands still: Away."),
        (Report("idle", datetime(2026, 1, 1), model_version=OLD, left=0), " hidden>"),
    ],
)
def test_how_far_the_customers_are_scored(gateway: FakeGateway, report: Report, shown: str) -> None:
    gateway.workers.report("w", report)
    for address in ("/models", "/models/active"):
        assert shown in _page(gateway, address).split("data-rescoring")[1].split("</section>")[0]


class TestVersion:
    def test_one_that_has_passed_can_be_activated_with_a_reason(self, gateway: FakeGateway) -> None:
        page = _page(gateway, f"/models/{NEW}")
        assert "it has passed all checks" in page
        assert re.search(r'name="reason" required', page)
        assert 'name="force"' not in page
        assert f'data-preview="{NEW}"' in page

    def test_one_that_has_failed_warns_and_names_segments_as_people_do(self, gateway: FakeGateway) -> None:
        class Strict(FakeRegistry):
            def gate(self, version: str) -> Gate:
                check: Any = {"check": "match", "passed": False, "detail": "seg-09 would be retired"}
                return super().gate(version) | {"passed": False, "checks": [check]}  # type: ignore[return-value]

            def models(self) -> ModelList:
                found = super().models()
                found["items"][1]["segments"] = [{"id": "seg-09", "name": SCRIPT, "share": 1.0}]
                return found

        gateway.registry = Strict()
        page = _page(gateway, f"/models/{NEW}")
        assert "1 of 1 has failed" in page
        assert re.search(r'name="force" required', page)
        assert f"{SHOWN} would be retired" in page

    def test_one_that_ends_is_not_taken_for_a_new_one_of_the_same_name(self, gateway: FakeGateway) -> None:
        class Confusing(FakeRegistry):
            def gate(self, version: str) -> Gate:
                check: Any = {"check": "match", "passed": False, "detail": "seg-09 would be retired"}
                return super().gate(version) | {"passed": False, "checks": [check]}  # type: ignore[return-value]

            def model(self, version: str) -> dict[str, Any]:
                return super().model(version) | {"retired": ["seg-09"]}

            def models(self) -> ModelList:
                found = super().models()
                name = super().model(NEW)["segments"][0]["name"]
                found["items"][1]["segments"] = [{"id": "seg-09", "name": name, "share": 1.0}]
                return found

        gateway.registry = Confusing()
        name = gateway.registry.model(NEW)["segments"][0]["name"]
        page = _page(gateway, f"/models/{NEW}")
        assert f"{name} (former) would be retired" in page
        assert f"It does not have any more: {name} (former)." in page
        assert page.count(f"{name} (former)") == 2

    def test_the_one_in_use_says_what_came_of_it(self, gateway: FakeGateway) -> None:
        gateway.registry.activate(NEW, {"reason": SCRIPT, "by": "Ann"})
        page = _page(gateway, "/models/active")
        assert "What came of it" in page
        assert SHOWN in page
        assert "data-activate" not in page
        assert "took its place" in _page(gateway, f"/models/{OLD}")

    def test_the_first_versions_had_less_evidence(self, gateway: FakeGateway) -> None:
        """The fake's description has only what was always there."""
        page = _page(gateway, f"/models/{OLD}")
        assert "How much closer customers lie to their own segment" in page
        assert "0.200" in page
        assert f'data-picture="/api/v1/models/{OLD}/plots/elbow.svg"' in page

    def test_one_without_a_report_has_no_pictures(self, gateway: FakeGateway) -> None:
        class Plain(FakeRegistry):
            def plots(self, version: str) -> Any:
                raise RegistryRefusal(404, "report_not_found", "there is none")

        gateway.registry = Plain()
        assert ">Pictures<" not in _page(gateway, f"/models/{NEW}")

    def test_one_that_is_not_there_is_a_page_that_says_so(self, gateway: FakeGateway) -> None:
        assert "There is nothing here" in _page(gateway, "/models/20200101T000000Z-00000009", status=404)


class TestTraining:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"status": "running", "progress": {"phase": "measuring stability", "done": 7, "total": 50}}, "7 of 50"),
            ({"status": "queued"}, "It waits to start."),
            ({"status": "failed", "reason": SCRIPT}, f"<strong>It failed.</strong> {SHOWN}"),
            ({"status": "cancelled", "reason": "cancelled on request"}, "It was cancelled."),
            ({"status": "completed", "version": NEW}, f'<a href="/models/{NEW}">See how good it is</a>'),
            ({"status": "completed", "version": NEW, "reason": "The gate refuses it."}, "It was not activated."),
            ({"status": "completed", "version": NEW, "activated": True}, "it is in use already"),
        ],
    )
    def test_what_became_of_it(self, gateway: FakeGateway, changes: Any, words: str) -> None:
        gateway.registry.records["t1"] = training("t1") | {"note": SCRIPT} | changes
        page = _page(gateway, "/trainings/t1")
        assert words in page
        assert SHOWN in page
        assert "<img" not in page
        assert ("data-cancel" in page) is (changes["status"] in ("queued", "running"))
        navigation = browser_of(gateway).get("/trainings/t1").text.split("<main")[0]
        assert '<a href="/models" aria-current="page">' in navigation

    def test_one_that_is_not_there_is_a_page_that_says_so(self, gateway: FakeGateway) -> None:
        assert "There is nothing here" in _page(gateway, "/trainings/t9", status=404)


@given(st.text(max_size=20) | st.just("trying k = 3 to 8"), st.sampled_from(["queued", "failed", "completed"]))
def test_steps_are_in_order_and_one_at_most_is_the_present_one(phase: str, status: Any) -> None:
    record: Any = training("t1") | {"status": status, "progress": {"phase": phase, "done": 0, "total": 0}}
    states = [step.state for step in steps(record)]
    order = ["done", "now", "stopped", "ahead"]
    assert states == sorted(states, key=order.index)
    assert states.count("now") + states.count("stopped") == (0 if status in ("completed", "queued") else 1)
