from __future__ import annotations

import asyncio
import itertools
from typing import Any

import numpy as np
import orjson
import pytest
from analysed_customers import tiny_columns, tiny_predictor
from asgi_client import HEADERS, Answer, AsgiClient, assert_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_changes import copy_version, edit_manifest

from model_service.analysis.drift import DriftCounter
from model_service.analysis.preview import PreviewCounter
from model_service.api import bodies, customers
from model_service.api.analysis import MAX_CONCURRENT, RETRY_SECONDS
from model_service.app import create_app
from model_service.settings import Settings
from model_service.store.artefact import sign
from shared.contract import MAX_COLUMNAR
from shared.features import INPUT_NAMES
from shared.model_contract import ACTIVE, MODELS, NDJSON

DRIFT = f"{MODELS}/{ACTIVE}/drift"
PREVIEW = f"{MODELS}/{ACTIVE}/preview"
IDS = [f"C{i:03}" for i in range(300)]


def block(columns=None, start=0, stop=300, ids: Any = None, **replaced: Any) -> dict[str, Any]:
    """A block of customers as a client sends it."""
    columns = tiny_columns() if columns is None else columns
    cells = {name: [None if v != v else v for v in values[start:stop].tolist()] for name, values in columns.items()}
    return {"columns": cells | replaced} | ({} if ids is None else {"ids": ids})


def line(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def post(client: AsgiClient, path: str, *parts: bytes, **headers: str) -> Answer:
    return client.request("POST", path, list(parts) or None, {"content-type": NDJSON, **headers})


def without_time(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer.pop("as_of").endswith("Z")
    return answer


def expected_drift(tiny, *blocks) -> dict[str, Any]:
    counter = DriftCounter(tiny_predictor(tiny))
    for columns in blocks:
        counter.add(columns)
    return without_time(dict(counter.result("Z")))


def test_drift_is_that_of_all_blocks(client, tiny):
    answer = post(client, DRIFT, line(block(stop=100)), line(block(start=100, ids=IDS[100:])))
    assert answer.status == 200, answer.body
    assert without_time(answer.json()) == expected_drift(tiny, tiny_columns())


def test_preview_is_that_of_all_blocks(connect, store, tiny):
    segments = store.manifest(store.versions()[0])["segments"]
    candidate = copy_version(store, segments=[{**s, "id": s["id"].replace("seg-02", "seg-09")} for s in segments])
    client = connect(model_store=store.directory)
    answer = post(client, f"{MODELS}/{candidate}/preview", line(block(ids=IDS)), line(block()))
    assert answer.status == 200, answer.body
    preview = answer.json()
    assert (preview["candidate"], preview["active"], preview["rows"]) == (candidate, store.versions()[0], 600)
    assert preview["moved"]["customers"] == 200
    assert preview["customers"][0]["CUST_ID"] in {*IDS, None}
    assert "seg-02" in "".join(preview["remarks"])


def test_the_active_version_may_be_previewed_against_itself(client, tiny):
    preview = post(client, PREVIEW, line(block(ids=IDS))).json()
    counter = PreviewCounter(tiny_predictor(tiny), tiny_predictor(tiny))
    counter.add(tiny_columns(), IDS)
    assert without_time(preview) == without_time(dict(counter.result("Z")))


def test_a_version_may_be_called_by_its_name(client, tiny):
    version = tiny_predictor(tiny).version
    assert post(client, f"{MODELS}/{version}/drift", line(block())).json()["model_version"] == version


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 60_000), max_size=8), st.sampled_from([b"\n", b"\r\n", b"\n\n \n"]), st.booleans())
def test_the_body_may_arrive_in_any_pieces(piecewise, tiny_drift, at, end, ended):
    body = end.join([line(block(stop=50)).strip(), line(block(start=50)).strip()]) + (end if ended else b"")
    cuts = [0, *sorted(at), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(cuts)]
    assert without_time(post(piecewise, DRIFT, *pieces).json()) == tiny_drift


@pytest.fixture(scope="module")
def tiny_drift(tiny):
    return expected_drift(tiny, tiny_columns())


@pytest.fixture(scope="module")
def piecewise(tiny):
    with AsgiClient(create_app(Settings(model_store=tiny.store))) as client:
        yield client


@pytest.mark.parametrize("body", [(), (b"",), (b"\n\n",), (b" \n",)])
def test_nothing_sent_is_not_enough_data_and_moves_nobody(client, body):
    drift = post(client, DRIFT, *body).json()
    assert (drift["verdict"], drift["rows"]) == ("not_enough_data", 0)
    preview = post(client, PREVIEW, *body).json()
    assert (preview["rows"], preview["moved"]["customers"], preview["moved"]["share"]) == (0, 0, 0.0)


def test_a_block_without_customers_counts_for_nothing(client):
    empty = block(stop=0, ids=[])
    assert post(client, DRIFT, line(empty), line(block()), line(empty)).json()["rows"] == 300
    assert post(client, PREVIEW, line(empty), line(block())).json()["rows"] == 300


GOOD = block()
FAULTS = [
    ([1], [""]),
    ({"ids": []}, ["/columns"]),
    ({**GOOD, "customers": [], "a/b": 1}, ["/customers", "/a~1b"]),
    ({"columns": []}, ["/columns"]),
    ({"columns": {}}, [f"/columns/{n}" for n in INPUT_NAMES if n not in ("CREDIT_LIMIT", "MINIMUM_PAYMENTS")]),
    (block(BALANCE=[1.0]), [f"/columns/{n}" for n in INPUT_NAMES if n != "BALANCE"]),
    (block(HEIGHT=[1.0] * 300), ["/columns/HEIGHT"]),
    (block(TENURE=[12] * 299 + [13]), ["/columns/TENURE/299"]),
    (
        block(TENURE=[12, "12", None, True, *[12] * 296]),
        ["/columns/TENURE/1", "/columns/TENURE/2", "/columns/TENURE/3"],
    ),
    (block(ids=IDS[1:]), ["/ids"]),
    (block(ids="C1"), ["/ids"]),
    (block(ids=["C 1", *IDS[1:-1], None]), ["/ids/0", "/ids/299"]),
    ({"columns": {n: [1] * (MAX_COLUMNAR + 1) for n in INPUT_NAMES}}, ["/columns/BALANCE"]),
]


@pytest.mark.parametrize(("value", "pointers"), FAULTS)
@pytest.mark.parametrize("path", [DRIFT, PREVIEW])
def test_a_faulty_block_is_refused_with_its_line(client, path, value, pointers):
    answer = post(client, path, line(GOOD), b"\n", line(value), line(GOOD))
    assert assert_problem(answer, 422, "validation_failed", pointers)["detail"].startswith("Line 3: ")


@pytest.mark.parametrize(
    "text", [b"{", b"\xff", b"NaN", b'{"columns": {}, "columns": {}}', b"CUST_ID,BALANCE", b"\0", b"[" * 100_000]
)
def test_a_malformed_line_is_refused_with_its_number(client, text):
    problem = assert_problem(post(client, DRIFT, line(GOOD), text + b"\n", line(GOOD)), 400, "malformed_json")
    assert problem["detail"].startswith("Line 2: ")


def test_a_line_is_at_most_so_long(client, monkeypatch):
    text = line(block())
    monkeypatch.setattr(customers, "MAX_LINE", len(text) - 1)
    assert post(client, DRIFT, text, text).status == 200
    for pieces in ([text, b" " + text], [text, b" ", text], [text, b" " * len(text)], [b" " * 10 * len(text)]):
        problem = assert_problem(post(client, DRIFT, *pieces), 413, "body_too_large")
        assert problem["detail"].startswith(f"Line {2 if len(pieces) > 1 else 1} ")


@pytest.mark.parametrize("kind", ["application/json", "text/csv", ""])
def test_another_media_type_is_refused(client, kind):
    assert_problem(client.request("POST", DRIFT, b"{}", {"content-type": kind}), 415, "unsupported_media_type")


@pytest.mark.parametrize("what", ["drift", "preview"])
def test_an_unknown_version_and_none_at_all_are_told(client, connect, what):
    assert_problem(post(client, f"{MODELS}/nope/{what}", line(GOOD)), 404, "version_not_found")
    assert_problem(post(connect(), f"{MODELS}/{ACTIVE}/{what}", line(GOOD)), 503, "model_not_loaded")


def test_a_version_without_evidence_has_no_drift_but_a_preview(connect, store):
    version = store.versions()[0]
    manifest = store.manifest(version)
    del manifest["evidence"]
    content = orjson.dumps(manifest)
    (store.path(version) / "manifest.json").write_bytes(content)
    sign(store.path(version), content, store.signer)
    client = connect(model_store=store.directory)
    assert "retrain" in assert_problem(post(client, DRIFT, line(GOOD)), 409, "no_evidence")["detail"]
    assert post(client, PREVIEW, line(GOOD)).status == 200


def test_damaged_evidence_is_told(connect, store):
    version = store.versions()[0]
    edit_manifest(store, version, evidence={"histograms": 1})
    assert_problem(post(connect(model_store=store.directory), DRIFT, line(GOOD)), 409, "artefact_damaged")


class Client:
    """Sends a first line and then waits until it is told to go on, or for ever."""

    def __init__(self, client: AsgiClient, path: str = DRIFT) -> None:
        self.go_on = asyncio.Event()
        self.waits = asyncio.Event()
        self.sent: list[Any] = []
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        headers = {"content-type": NDJSON, **HEADERS}
        scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
        scope |= {"http_version": "1.1", "root_path": ""}
        self.call = client.app({**scope, "scheme": "http"}, self.receive, self.send)
        self.messages = [{"type": "http.request", "body": line(GOOD), "more_body": True}]
        self.last = {"type": "http.request", "body": line(GOOD), "more_body": False}

    async def receive(self) -> Any:
        if self.messages:
            return self.messages.pop(0)
        self.waits.set()
        await self.go_on.wait()
        return self.last

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def answer(self) -> Any:
        return orjson.loads(b"".join(message.get("body", b"") for message in self.sent))


def test_only_so_many_at_once_and_predictions_go_on(client, tiny):
    async def scenario() -> tuple[list[Client], Answer, Answer]:
        running = [Client(client) for _ in range(MAX_CONCURRENT)]
        tasks = [asyncio.create_task(one.call) for one in running]
        for one in running:
            await one.waits.wait()
        body = orjson.dumps(tiny.customer())
        predicted = await client._call("POST", "/v1/predict", body, {"content-type": "application/json"})
        refused = await client._call("POST", PREVIEW, line(GOOD), {"content-type": NDJSON})
        for one in running:
            one.go_on.set()
        await asyncio.gather(*tasks)
        return running, refused, predicted

    running, refused, predicted = client._runner.run(scenario())
    assert_problem(refused, 503, "analysis_busy")
    assert refused.headers["retry-after"] == str(RETRY_SECONDS)
    assert predicted.status == 200
    assert [one.answer["rows"] for one in running] == [600] * MAX_CONCURRENT
    assert post(client, PREVIEW, line(GOOD)).status == 200


def test_a_client_that_leaves_gets_no_answer_and_frees_its_place(client):
    for _ in range(MAX_CONCURRENT + 1):
        gone = Client(client)
        gone.last = {"type": "http.disconnect"}
        gone.go_on.set()
        client._runner.run(gone.call)
        assert gone.sent == []
    assert post(client, DRIFT, line(GOOD)).status == 200


def test_a_client_that_falls_silent_is_told_and_frees_its_place(client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(bodies, "READ_TIMEOUT_SECONDS", 0.01)
        for _ in range(MAX_CONCURRENT + 1):
            silent = Client(client)
            client._runner.run(silent.call)
            assert (silent.sent[0]["status"], silent.answer["code"]) == (408, "request_timeout")
    assert post(client, DRIFT, line(GOOD)).status == 200


def test_values_at_the_ends_of_what_is_allowed_are_counted(client):
    columns = {name: np.full(300, 1.0) for name in INPUT_NAMES}
    columns["BALANCE"] = np.full(300, 1e12)
    columns["PURCHASES_TRX"] = np.zeros(300)
    columns["CREDIT_LIMIT"] = np.full(300, 5e-324)
    columns["MINIMUM_PAYMENTS"] = np.full(300, np.nan)
    drift = post(client, DRIFT, line(block(columns))).json()
    assert drift["verdict"] == "retrain"
    assert None not in [f["psi"] for f in drift["features"]], "no infinities, which JSON does not have"
    assert post(client, PREVIEW, line(block(columns))).json()["rows"] == 300
