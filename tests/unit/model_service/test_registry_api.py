"""Versions, activations and labels over HTTP."""

from __future__ import annotations

import errno

import pytest
from asgi_client import assert_problem
from registry_changes import copy_version, damage, edit_manifest, only_version, worse_version

from model_service.api.bodies import MERGE_PATCH
from model_service.store.registry import ACTIVE_FILE, LABELS_FILE, ModelStore
from model_service.store.signatures import Signer
from shared.contract import ACTIVE_MODEL, PREDICT, ModelSummary
from shared.model_contract import ACTIVATIONS, MODELS, SEGMENTS, TRAININGS, Activation, Gate, Label, ModelEntry
from shared.model_description import DescribedSegment, ModelDescription

JSON = {"content-type": "application/json"}
RULE = {
    "conditions": [{"feature": "CASH_ADVANCE", "operator": ">", "value": 200.0}],
    "precision": 1.0,
    "coverage": 0.5,
    "sentence": "Cash advances in 12 months above 200: 100% of these customers are in the segment, and they make up "
    "50% of it",
}
EVIDENCE = {
    "elbow": {"k": None, "detail": "none"},
    "remarks": ["all agree"],
    "reliability": [],
    "calibration_error": 0.01,
    "fidelity": 0.9,
    "baseline": {"rule": "r", "cells": 8, "eta2_rule": 0.4, "eta2_model": 0.5, "agreement": 0.5},
    "segments": {"seg-01": {"rules": [RULE], "typical": [], "borderline": []}},
    "histograms": {},
    "distances": [],
}


@pytest.fixture
def served(connect, store):
    """An application on a store of its own; it looks for activations by others only after the test."""
    return connect(model_store=store.directory, model_poll_seconds=60)


def patch(client, segment, body, kind="application/json"):
    return client.request("PATCH", f"{SEGMENTS}/{segment}", body, {"content-type": kind})


def serving(client, tiny):
    return client.post(PREDICT, tiny.customer()).json()["model_version"]


def test_versions_are_listed_newest_first_with_their_state(served, store):
    first, second, third, fourth = (only_version(store), *(copy_version(store) for _ in range(3)))
    store.activate(second)
    damage(store, third)
    (store.path(fourth) / "manifest.json").write_bytes(b"{")
    answer = served.get(MODELS).json()
    assert answer["active"] == second
    assert [(e["version"], e["status"]) for e in answer["items"]] == [
        (fourth, "damaged"),
        (third, "candidate"),
        (second, "active"),
        (first, "former"),
    ]
    assert all(set(entry) == set(ModelEntry.__annotations__) for entry in answer["items"])
    assert (
        answer["items"][0]["created_at"] == f"{fourth[:4]}-{fourth[4:6]}-{fourth[6:11]}:{fourth[11:13]}:{fourth[13:16]}"
    )
    assert answer["items"][3]["data"] == "customers.csv"
    assert [s["id"] for s in answer["items"][3]["segments"]] == ["seg-01", "seg-02", "seg-03"]


def test_the_list_survives_all_damage(served, store):
    copy_version(store)
    edit_manifest(store, store.versions()[0], segments=5, data=None)
    for name in (ACTIVE_FILE, "active.copy.json", LABELS_FILE):
        (store.directory / name).write_bytes(b"{")
    answer = served.get(MODELS).json()
    assert answer["active"] is None
    assert [e["status"] for e in answer["items"]] == ["candidate", "damaged"]


def test_a_version_of_no_possible_date_is_listed_as_damaged(served, store):
    (store.directory / "20269922T000000Z-00000000").mkdir()
    entry = served.get(MODELS).json()["items"][0]
    assert (entry["status"], entry["created_at"]) == ("damaged", "1970-01-01T00:00:00Z")


def test_the_list_says_which_version_serves_in_place_of_a_damaged_one(connect, store):
    first, second = only_version(store), copy_version(store)
    store.activate(second)
    damage(store, second)
    client = connect(model_store=store.directory)
    answer = client.get(MODELS).json()
    assert (answer["active"], answer["serving"]) == (second, first)
    assert client.post(f"{MODELS}/{first}/activate", {}).status == 200
    answer = client.get(MODELS).json()
    assert (answer["active"], answer["serving"]) == (first, first)


def test_active_stands_for_the_active_version_in_every_address(served, store):
    active, before = only_version(store), served.get(ACTIVATIONS).json()
    assert served.get(f"{MODELS}/active/gate").json() == served.get(f"{MODELS}/{active}/gate").json()
    assert served.post(f"{MODELS}/active/activate", {}).json()["version"] == active
    assert served.get(ACTIVATIONS).json() == before


def test_where_nothing_is_active_nothing_stands_for_it(connect):
    client = connect()
    assert_problem(client.get(f"{MODELS}/active/gate"), 503, "model_not_loaded")
    assert_problem(client.post(f"{MODELS}/active/activate", {}), 503, "model_not_loaded")


@pytest.mark.parametrize("path", [MODELS, ACTIVE_MODEL, ACTIVATIONS, SEGMENTS, TRAININGS, f"{SEGMENTS}/seg-01"])
def test_parameters_that_no_request_has_are_refused(served, path):
    assert_problem(served.get(f"{path}?limit=5&after=x"), 422, "validation_failed", ["?after", "?limit"])
    assert served.get(f"{path}?").status == 200
    described = served.get("/openapi.json").json()["paths"][path.replace("seg-01", "{id}")]["get"]
    assert "422" in described["responses"]


def test_no_client_is_told_where_files_lie(connect, store, caplog):
    active, other = only_version(store), copy_version(store)
    client = connect(model_store=store.directory, model_poll_seconds=60)
    for version in (active, other):
        (store.path(version) / "model.joblib").unlink()
    for name in (ACTIVE_FILE, "active.copy.json", LABELS_FILE):
        (store.directory / name).write_bytes(b"{")
    client.wait(0)
    answers = [
        client.get(f"/v2/models/customer-segmentation/versions/{other}/ready"),
        client.get(f"{MODELS}/{other}/gate"),
        client.get(f"{MODELS}/active/gate"),
        client.get(ACTIVATIONS),
        client.get(SEGMENTS),
        client.get(f"{MODELS}/{other}/report"),
    ]
    (store.path(other) / "manifest.json").unlink()
    answers += [client.get(f"{MODELS}/{other}"), connect(model_store=store.directory).get("/health/ready")]
    assert [answer.status for answer in answers] == [409, 200, 409, 409, 409, 404, 409, 503]
    assert not [answer.body for answer in answers if str(store.directory.parent).encode() in answer.body]
    assert str(store.directory) in caplog.text


def test_a_store_that_cannot_be_written_is_said_without_its_place(served, store, caplog, monkeypatch):
    def read_only(path, *_: object, **__: object):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("model_service.store.registry.exclusive", read_only)
    body = assert_problem(patch(served, "seg-01", b'{"name": "X"}'), 507, "store_not_writable")
    assert body["detail"] == "The model store cannot be written: Read-only file system."
    assert str(store.directory) in caplog.text


def test_an_empty_store_has_an_empty_list_and_history(connect):
    client = connect()
    nothing = {"items": [], "active": None, "serving": None, "rollback_to": None}
    assert client.get(MODELS).json() == nothing
    assert client.get(ACTIVATIONS).json() == {"items": []}
    assert client.get(SEGMENTS).json() == {"items": {}}


def test_a_version_is_described_in_full(served, store):
    version = copy_version(store, evidence=EVIDENCE)
    described = served.get(f"{MODELS}/{version}").json()
    assert set(described) == set(ModelDescription.__annotations__) >= set(ModelSummary.__annotations__)
    assert set(described["segments"][0]) == set(DescribedSegment.__annotations__)
    assert described["segments"][0]["rules"] == [RULE]
    assert described["version"] == version
    assert not {"sample", "parameters", "histograms", "distances"} & set(described)


def test_rules_are_told_in_the_words_and_the_currency_of_now(connect, store):
    """Also those of versions that were trained before, whose stored sentences are others."""
    before = {**EVIDENCE, "segments": {"seg-01": {"rules": [{**RULE, "sentence": "CASH_ADVANCE > 200"}]}}}
    version = copy_version(store, evidence=before)
    client = connect(model_store=store.directory, currency="EUR")
    (rule,) = client.get(f"{MODELS}/{version}").json()["segments"][0]["rules"]
    assert rule["sentence"] == RULE["sentence"].replace("200", "€200")


def test_a_version_without_evidence_lacks_what_came_later(served, store):
    version = only_version(store)
    manifest = store.manifest(version)
    manifest.pop("evidence", None)
    edit_manifest(store, version, evidence={})
    described = served.get(f"{MODELS}/{version}").json()
    assert described["data"] == manifest["data"]
    assert described["model_sha256"] == manifest["model_sha256"]
    assert "elbow" not in described
    assert "rules" not in described["segments"][0]


def test_active_stands_for_the_version_that_serves(served, store):
    assert served.get(ACTIVE_MODEL).json() == served.get(f"{MODELS}/{only_version(store)}").json()


@pytest.mark.parametrize("rest", ["", "/gate"])
@pytest.mark.parametrize("version", ["20200101T000000Z-00000000", "nope", "%2e%2e", "..", "active.json"])
def test_unknown_versions(served, version, rest):
    assert_problem(served.get(f"{MODELS}/{version}{rest}"), 404, "version_not_found")


def test_a_version_with_a_damaged_manifest_cannot_be_described(served, store):
    edit_manifest(store, only_version(store), segments=5)
    assert_problem(served.get(f"{MODELS}/{only_version(store)}"), 409, "artefact_damaged")


def test_the_gate_tells_what_it_would_do(served, store):
    good, worse = copy_version(store), worse_version(store)
    gate = served.get(f"{MODELS}/{good}/gate").json()
    assert set(gate) == set(Gate.__annotations__)
    assert (gate["version"], gate["against"], gate["passed"]) == (good, store.versions()[0], True)
    gate = served.get(f"{MODELS}/{worse}/gate").json()
    assert [c["check"] for c in gate["checks"] if not c["passed"]] == ["stability"]


def test_an_activation_serves_at_once_and_a_rollback_too(served, store, tiny):
    first, second = only_version(store), copy_version(store)
    answer = served.post(f"{MODELS}/{second}/activate", {"reason": " better ", "by": "ann"})
    assert answer.status == 200
    assert set(answer.json()) == set(Activation.__annotations__)
    assert (answer.json()["version"], answer.json()["reason"], answer.json()["by"]) == (second, "better", "ann")
    assert serving(served, tiny) == second
    back = served.post(f"{MODELS}/rollback", {})
    assert (back.json()["version"], back.json()["kind"], back.json()["by"]) == (first, "rollback", "unknown")
    assert serving(served, tiny) == first
    items = served.get(ACTIVATIONS).json()["items"]
    assert items[:2] == [back.json(), answer.json()]
    assert_problem(served.post(f"{MODELS}/rollback", {}), 409, "nothing_to_roll_back")


def test_nothing_need_be_said(served, store):
    second = copy_version(store)
    assert served.request("POST", f"{MODELS}/{second}/activate", None).json()["version"] == second
    assert served.request("POST", f"{MODELS}/{second}/activate", b"", JSON).status == 200
    assert served.request("POST", f"{MODELS}/rollback", None).status == 200


def test_the_gate_refuses_with_each_failed_check(served, store, tiny):
    worse = worse_version(store)
    body = assert_problem(served.post(f"{MODELS}/{worse}/activate", {}), 409, "gate_refused", ["/checks/stability"])
    assert worse in body["detail"]
    assert serving(served, tiny) == only_first(store)
    forced = served.post(f"{MODELS}/{worse}/activate", {"force": True, "reason": "it is so decided"})
    assert forced.json()["forced"] is True
    assert serving(served, tiny) == worse


def only_first(store):
    return store.versions()[0]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"force": True}, "/reason"),
        ({"force": True, "reason": " "}, "/reason"),
        ({"force": "yes"}, "/force"),
        ({"reason": 5}, "/reason"),
        ({"reason": "x" * 1001}, "/reason"),
        ({"reason": "bell\a"}, "/reason"),
        ({"by": "x" * 201}, "/by"),
        ({"by": None}, "/by"),
        ({"by": "two\nlines"}, "/by"),
        ({"version": "x"}, "/version"),
        ([], ""),
        ("x", ""),
        (None, ""),
    ],
)
def test_a_wish_of_the_wrong_shape(served, store, body, pointer):
    path = f"{MODELS}/{copy_version(store)}/activate"
    assert_problem(served.post(path, body), 422, "validation_failed", [pointer])
    if pointer != "/force" and not (isinstance(body, dict) and "force" in body):
        assert_problem(served.post(f"{MODELS}/rollback", body), 422, "validation_failed", [pointer])
    assert store.active.read()["version"] == only_first(store)


@pytest.mark.parametrize("path", ["20200101T000000Z-00000000/activate", "x/activate", "rollback"])
def test_bodies_that_are_no_json(served, path):
    assert_problem(served.request("POST", f"{MODELS}/{path}", b"{", JSON), 400, "malformed_json")
    text = {"content-type": "text/plain"}
    assert_problem(served.request("POST", f"{MODELS}/{path}", b"x", text), 415, "unsupported_media_type")
    assert_problem(served.request("POST", f"{MODELS}/{path}", b" " * 65537, JSON), 413, "body_too_large")


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda store, version: damage(store, version), "artefact_damaged"),
        (lambda store, version: edit_manifest(store, version, features=["AGE"]), "incompatible_model"),
        (lambda store, version: edit_manifest(ModelStore(store.directory, Signer("x")), version), "signature_refused"),
    ],
)
@pytest.mark.parametrize("force", [True, False])
def test_what_cannot_serve_is_refused_and_the_active_model_goes_on(served, store, tiny, harm, code, force):
    first, second = only_first(store), copy_version(store)
    harm(store, second)
    answer = served.post(f"{MODELS}/{second}/activate", {"force": force, "reason": "please"})
    assert second in assert_problem(answer, 409, code)["detail"]
    assert serving(served, tiny) == first


def test_a_rollback_to_a_damaged_version_is_refused_by_its_name(served, store, tiny):
    first, second = only_version(store), copy_version(store)
    served.post(f"{MODELS}/{second}/activate", {})
    damage(store, first)
    assert first in assert_problem(served.post(f"{MODELS}/rollback", {}), 409, "artefact_damaged")["detail"]
    assert serving(served, tiny) == second


def test_a_store_that_cannot_be_written(served, store, tiny, monkeypatch):
    from test_registry_save import no_space

    second = copy_version(store)
    monkeypatch.setattr("model_service.store.files.fsync", no_space)
    for answer in (
        served.post(f"{MODELS}/{second}/activate", {}),
        patch(served, "seg-01", b'{"name": "X"}'),
    ):
        assert "No space left" in assert_problem(answer, 507, "store_not_writable")["detail"]
    assert serving(served, tiny) == only_first(store)


def test_a_segment_is_named_and_every_answer_says_so(served, store, tiny):
    segment = served.post(PREDICT, tiny.customer()).json()["segment"]
    assert served.get(f"{SEGMENTS}/{segment['id']}").json()["name"] is None
    answer = patch(served, segment["id"], b'{"name": "Die Stillen", "by": "ann"}')
    assert set(answer.json()) == set(Label.__annotations__)
    assert (answer.json()["name"], answer.json()["changed_by"]) == ("Die Stillen", "ann")
    assert served.post(PREDICT, tiny.customer()).json()["segment"]["name"] == "Die Stillen"
    described = {s["id"]: s for s in served.get(ACTIVE_MODEL).json()["segments"]}[segment["id"]]
    assert (described["name"], described["derived_name"]) == ("Die Stillen", segment["name"])
    assert served.get(SEGMENTS).json()["items"][segment["id"]] == answer.json()
    assert patch(served, segment["id"], b'{"name": null}', MERGE_PATCH).json()["name"] is None
    assert served.post(PREDICT, tiny.customer()).json()["segment"] == segment


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b'{"name": ""}', ["/name"]),
        (b'{"name": "%s"}' % (b"x" * 81), ["/name"]),
        (b'{"name": "a\\u0000b"}', ["/name"]),
        (b'{"name": 5, "owner": [], "colour": "red"}', ["/name", "/owner", "/colour"]),
        (b'{"description": "%s"}' % (b"x" * 2001), ["/description"]),
        (b'["name"]', [""]),
        (b"null", [""]),
    ],
)
def test_a_label_of_the_wrong_shape(served, store, body, pointers):
    assert_problem(patch(served, "seg-01", body), 422, "validation_failed", pointers)
    assert not (store.directory / LABELS_FILE).exists()


def test_other_refusals_of_a_label(served, store):
    taken = served.get(ACTIVE_MODEL).json()["segments"][1]["name"]
    assert_problem(patch(served, "seg-01", b'{"name": "%s"}' % taken.encode()), 409, "name_taken")
    assert_problem(patch(served, "seg-01", b'{"owner": "X", "if_labelled_at": "then"}'), 409, "label_changed")
    assert_problem(patch(served, "seg-01", b'{"actions": ["Call", 5]}'), 422, "validation_failed", ["/actions/1"])
    assert_problem(patch(served, "seg-99", b'{"name": "X"}'), 404, "segment_not_found")
    assert_problem(served.get(f"{SEGMENTS}/seg-99"), 404, "segment_not_found")
    assert_problem(patch(served, "seg-01", b"{"), 400, "malformed_json")
    assert_problem(patch(served, "seg-01", b""), 400, "malformed_json")
    assert_problem(patch(served, "seg-01", b"x", "text/plain"), 415, "unsupported_media_type")
    (store.directory / LABELS_FILE).write_bytes(b"{")
    assert_problem(patch(served, "seg-01", b'{"name": "X"}'), 409, "labels_damaged")
    assert_problem(served.get(SEGMENTS), 409, "labels_damaged")


def test_damaged_labels_are_told_by_health_and_stop_nothing(connect, store, tiny):
    (store.directory / LABELS_FILE).write_bytes(b"{")
    client = connect(model_store=store.directory)
    assert client.post(PREDICT, tiny.customer()).status == 200
    ready = client.get("/health/ready").json()
    assert ready["fallback"] is None
    assert LABELS_FILE in ready["labels"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [(ACTIVATIONS, "GET"), (f"{MODELS}/x/gate", "GET"), (f"{MODELS}/x/activate", "POST"), (ACTIVE_MODEL, "GET")],
)
def test_wrong_methods(served, path, allowed):
    answer = served.request("DELETE", path, b"", JSON)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


def test_the_openapi_text_describes_the_registry(client):
    document = client.get("/openapi.json").json()
    paths, schemas = document["paths"], document["components"]["schemas"]
    activate = paths[MODELS + "/{version}/activate"]["post"]
    assert set(activate["responses"]) == {"200", "400", "401", "404", "409", "413", "415", "422", "507"}
    assert activate["parameters"][0]["name"] == "version"
    assert activate["requestBody"]["content"].keys() == {"application/json"}
    assert set(schemas["Activate"]["properties"]) == {"reason", "by", "force"}
    assert set(schemas["LabelPatch"]["properties"]) == {
        *("name", "description", "owner", "actions", "if_labelled_at", "by")
    }
    assert {"patch", "get"} == set(paths[SEGMENTS + "/{id}"])
