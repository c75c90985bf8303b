"""What every adapter of the `ModelRegistry` port does: run over the fake and over the client of a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fakes.registry import ETAG, INTERFACE, MARKETING, NEW, OLD, POLICY, REPORT, SVG, drift, preview
from support.customers import inputs

from gateway.services.customers.store import Block
from gateway.services.errors import RegistryRefusal
from gateway.services.models.registry import ModelRegistry, Upload
from shared.features import INPUT_NAMES
from shared.model_contract import CSV

NOBODY = "20200101T000000Z-00000000"
OF_A_VERSION: dict[str, Callable[[ModelRegistry, str], object]] = {
    "model": lambda r, v: r.model(v),
    "gate": lambda r, v: r.gate(v),
    "activate": lambda r, v: r.activate(v, {}),
    "report": lambda r, v: r.report(v, None),
    "plots": lambda r, v: r.plots(v),
    "plot": lambda r, v: r.plot(v, "elbow", "svg", None),
    "preview": lambda r, v: r.preview(v, []),
    "drift": lambda r, v: r.drift(v, []),
}


def blocks() -> Iterator[Block]:
    """Two blocks of customers, one with a gap."""
    for cust_id, changes in (("A", {}), ("B", {"CREDIT_LIMIT": None})):
        customer = inputs(**changes)
        yield Block([cust_id], {name: [customer[name]] for name in INPUT_NAMES})


class RegistryContract:
    """Subclass it in a test module and give it a fixture `registry`, with two versions and no trainings."""

    def test_models(self, registry: ModelRegistry) -> None:
        found = registry.models()
        assert (found["active"], [m["version"] for m in found["items"]]) == (OLD, [NEW, OLD])

    def test_model(self, registry: ModelRegistry) -> None:
        assert [registry.model(v)["version"] for v in (OLD, NEW, "active")] == [OLD, NEW, OLD]

    def test_gate(self, registry: ModelRegistry) -> None:
        assert registry.gate(NEW)["against"] == OLD

    def test_activate_and_roll_back(self, registry: ModelRegistry) -> None:
        order = {"reason": "größer", "by": "ann", "force": True}
        done = registry.activate(NEW, order)
        assert (done["version"], done["reason"], done["by"], done["forced"]) == (NEW, "größer", "ann", True)
        assert (registry.models()["active"], registry.models()["rollback_to"]) == (NEW, OLD)
        assert registry.roll_back({})["version"] == OLD
        assert registry.models()["rollback_to"] is None
        assert [a["kind"] for a in registry.activations()["items"]] == ["rollback", "activate"]

    def test_the_history_tells_one_activation_from_another(self, registry: ModelRegistry) -> None:
        event = "0123456789abcdef" * 2
        done = registry.activate(NEW, {}, event)
        assert (done["id"], done["before"]) == (event, OLD)
        assert registry.activate(NEW, {}, "fedcba9876543210")["id"] == event, "it is active already"
        back = registry.roll_back({})
        assert (back["before"], back["number"]) == (NEW, done["number"] + 1)
        assert back["id"] not in (None, event)
        assert [a["id"] for a in registry.activations()["items"][:2]] == [back["id"], event]

    def test_nothing_to_roll_back(self, registry: ModelRegistry) -> None:
        with pytest.raises(RegistryRefusal) as caught:
            registry.roll_back({})
        assert (caught.value.status, caught.value.code) == (409, "nothing_to_roll_back")

    def test_label(self, registry: ModelRegistry) -> None:
        assert registry.label("seg-01", {"name": "Savers"})["name"] == "Savers"
        assert registry.label("seg-01", {"name": None})["name"] is None
        label = registry.label("seg-01", {"actions": ["Call them"]})
        assert label["actions"] == ["Call them"]
        assert registry.label("seg-01", {"actions": None, "if_labelled_at": label["changed_at"]})["actions"] is None

    def test_a_label_that_somebody_has_changed_meanwhile(self, registry: ModelRegistry) -> None:
        registry.label("seg-01", {"owner": "Ann"})
        with pytest.raises(RegistryRefusal) as caught:
            registry.label("seg-01", {"owner": "Ben", "if_labelled_at": None})
        assert (caught.value.status, caught.value.code) == (409, "label_changed")

    @pytest.mark.parametrize("size", [11, None])
    def test_train(self, registry: ModelRegistry, size: int | None) -> None:
        made = registry.train(Upload(CSV, size, iter([b"hello ", b"", b"world"])), {"note": "a&b=c ü", "k": "3"})
        assert (made["status"], made["bytes"]) == ("queued", 11)
        assert registry.training(made["id"]) == made
        assert registry.trainings()["items"] == [made]
        assert registry.training_log(made["id"]) == f"{made['id']}: größer\n"
        assert registry.cancel(made["id"])["status"] == "cancelled"
        with pytest.raises(RegistryRefusal, match="ended"):
            registry.cancel(made["id"])

    def test_a_training_that_is_not_there(self, registry: ModelRegistry) -> None:
        for call in (registry.training, registry.training_log, registry.cancel):
            with pytest.raises(RegistryRefusal) as caught:
                call("t9")
            assert caught.value.code == "training_not_found"

    def test_erase_from_trainings(self, registry: ModelRegistry) -> None:
        assert registry.erase_from_trainings("C1") == 0

    def test_report(self, registry: ModelRegistry) -> None:
        report = registry.report(OLD, None)
        assert (report.media_type, report.content, report.policy) == ("text/html", REPORT, POLICY)
        assert registry.report(OLD, ETAG).content is None
        assert registry.report(OLD, None, "marketing").content == MARKETING

    def test_plots(self, registry: ModelRegistry) -> None:
        assert [p["name"] for p in registry.plots(OLD)["items"]] == ["elbow"]
        plot = registry.plot(OLD, "elbow", "png", None)
        assert (plot.media_type, plot.content, plot.validator, plot.caching) == ("image/png", SVG, ETAG, "immutable")
        assert registry.plot(OLD, "elbow", "svg", ETAG).content is None
        with pytest.raises(RegistryRefusal):
            registry.plot(OLD, "moon", "svg", None)

    def test_openapi_document(self, registry: ModelRegistry) -> None:
        assert registry.openapi_document(None).content == INTERFACE

    def test_draw(self, registry: ModelRegistry) -> None:
        for figure in (drift(OLD, 1), preview(NEW, OLD, 1)):
            drawn = registry.draw(figure, "svg")
            assert (drawn.media_type, drawn.content) == ("image/svg+xml", SVG)

    def test_preview(self, registry: ModelRegistry) -> None:
        assert registry.preview(NEW, blocks()) == preview(NEW, OLD, 2)

    def test_drift(self, registry: ModelRegistry) -> None:
        assert registry.drift("active", blocks()) == drift(OLD, 2)

    def test_drift_of_customers_whom_nobody_names(self, registry: ModelRegistry) -> None:
        unnamed = [Block([], block.columns) for block in blocks()]
        assert registry.drift("active", unnamed, 2.0) == drift(OLD, 2)

    @pytest.mark.parametrize("call", OF_A_VERSION.values(), ids=OF_A_VERSION)
    def test_a_version_that_is_not_there(
        self, registry: ModelRegistry, call: Callable[[ModelRegistry, str], object]
    ) -> None:
        with pytest.raises(RegistryRefusal) as caught:
            call(registry, NOBODY)
        assert (caught.value.status, caught.value.code) == (404, "version_not_found")
