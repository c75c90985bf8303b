"""What clients of KServe, MLServer and Triton send, as their source has it, and what they read from the answers."""

from __future__ import annotations

import struct

import numpy as np
import orjson
import pytest
from asgi_client import Answer, AsgiClient, assert_problem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_active_model import copy_version

from model_service.api.open_inference.routes import MODEL
from model_service.store.artefact import MANIFEST_FILE
from model_service.store.registry import ModelStore
from shared.contract import MAX_COLUMNAR, PREDICT
from shared.features import BY_NAME, DERIVED, INPUT_NAMES, INPUTS

ADDRESS = f"/v2/models/{MODEL}"
INFER = ADDRESS + "/infer"
ENDS = ("", "/ready", "/infer")
NULLABLE = [f.name for f in INPUTS if f.nullable]
BINARY = "application/octet-stream"


def assert_refused(answer: Answer, status: int, code: str, pointers: list[str] | None = None) -> str:
    """Check for a problem that has an ``error`` besides; return that."""
    body = answer.json()
    error = body.pop("error")
    assert isinstance(error, str)
    assert body["detail"] in error
    assert_problem(Answer(answer.status, answer.headers, orjson.dumps(body)), status, code, pointers)
    return error


@pytest.fixture
def customers(tiny):
    return [tiny.customer(i) for i in range(0, 180, 9)]


@pytest.fixture
def expected(client, customers):
    """What the service's own interface says of these customers."""
    return [client.post(PREDICT, customer).json() for customer in customers]


def named(customers, shape=lambda n: [n], nest=lambda values: values) -> list[dict]:
    return [
        {
            "name": f.name,
            "shape": shape(len(customers)),
            "datatype": "FP64",
            "data": nest([c[f.name] for c in customers]),
        }
        for f in INPUTS
    ]


def positional(customers, name="input-0") -> list[dict]:
    data = [[customer[name] for name in INPUT_NAMES] for customer in customers]
    return [{"name": name, "shape": [len(data), len(INPUTS)], "datatype": "FP64", "data": data}]


def outputs(answer: Answer) -> dict[str, list]:
    assert answer.status == 200, answer.body
    return {tensor["name"]: tensor["data"] for tensor in answer.json()["outputs"]}


def assert_predicts(found: dict[str, list], expected: list[dict]) -> None:
    assert found == {
        "segment_id": [p["segment"]["id"] for p in expected],
        "segment_name": [p["segment"]["name"] for p in expected],
        "rival_id": [p["rival"]["id"] for p in expected],
        "cluster": [p["cluster"] for p in expected],
        "confidence": [p["confidence"] for p in expected],
        "distance": pytest.approx([p["distance"] for p in expected], abs=2e-6),
        "margin": pytest.approx([p["margin"] for p in expected], abs=2e-6),
        "borderline": [p["borderline"] for p in expected],
    }


def test_the_server_and_the_model_live_and_are_ready(client, tiny):
    version = ModelStore(tiny.store).versions()[0]
    assert client.get("/v2").json() == {"name": MODEL, "version": "1", "extensions": ["binary_tensor_data"]}
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for address in (ADDRESS, f"{ADDRESS}/versions/{version}"):
        assert client.get(f"{address}/ready").json() == {"name": MODEL, "ready": True}


def test_the_metadata_describe_every_tensor(client, tiny):
    metadata = client.get(ADDRESS).json()
    assert metadata["name"] == MODEL
    assert metadata["versions"] == ModelStore(tiny.store).versions()
    assert metadata["platform"] == "sklearn_joblib"
    assert [t["name"] for t in metadata["inputs"]] == list(INPUT_NAMES)
    assert all(t["datatype"] == ("INT64" if BY_NAME[t["name"]].whole else "FP64") for t in metadata["inputs"])
    answered = client.post(INFER, {"inputs": positional([tiny.customer()])}).json()["outputs"]
    assert metadata["outputs"] == [{"name": t["name"], "datatype": t["datatype"], "shape": [-1]} for t in answered]
    for version in (metadata["versions"][0], "active"):
        assert client.get(f"{ADDRESS}/versions/{version}").json() == metadata
        assert client.get(f"{ADDRESS}/versions/{version}/ready").json()["ready"]


def test_without_a_model_the_server_lives_but_is_not_ready(connect, customers):
    client: AsgiClient = connect()
    assert client.get("/v2/health/live").status == client.get("/v2").status == 200
    assert client.get(ADDRESS).json()["versions"] == []
    for answer in (
        client.get("/v2/health/ready"),
        client.get(f"{ADDRESS}/ready"),
        client.get(f"{ADDRESS}/versions/active"),
        client.post(INFER, {"inputs": positional(customers)}),
    ):
        assert_refused(answer, 503, "model_not_loaded")


@pytest.mark.parametrize("end", ENDS)
def test_other_models_and_versions_are_not_found(client, customers, end):
    def ask(address: str) -> Answer:
        return (
            client.post(address + end, {"inputs": positional(customers)})
            if end == "/infer"
            else client.get(address + end)
        )

    assert_refused(ask("/v2/models/iris"), 404, "model_not_found")
    assert_refused(ask("/v2/models/iris/versions/1"), 404, "model_not_found")
    for version in ("1", "20000101T000000Z-00000000", "..%2f", "active.json"):
        assert_refused(ask(f"{ADDRESS}/versions/{version}"), 404, "version_not_found")


def test_a_version_is_asked_by_its_name(connect, store, customers):
    client: AsgiClient = connect(model_store=store.directory)
    active, other = store.versions()[0], copy_version(store)
    assert client.get(ADDRESS).json()["versions"] == [active, other]
    assert client.post(INFER, {"inputs": positional(customers)}).json()["model_version"] == active
    for version in (active, other):
        answer = client.post(f"{ADDRESS}/versions/{version}/infer", {"inputs": positional(customers)})
        assert answer.json()["model_version"] == version


def test_a_damaged_version_is_not_ready(connect, store, customers):
    damaged = copy_version(store)
    (store.directory / damaged / MANIFEST_FILE).write_text("{")
    client: AsgiClient = connect(model_store=store.directory)
    assert_refused(client.get(f"{ADDRESS}/versions/{damaged}/ready"), 409, "artefact_damaged")
    answer = client.post(f"{ADDRESS}/versions/{damaged}/infer", {"inputs": positional(customers)})
    assert_refused(answer, 409, "artefact_damaged")


@pytest.mark.parametrize(
    "form",
    [
        named,
        lambda customers: named(customers)[::-1],
        lambda customers: named(customers, lambda n: [n, 1]),
        lambda customers: named(customers, lambda n: [n, 1], lambda values: [[v] for v in values]),
        positional,
        lambda customers: positional(customers, "BALANCE"),
        lambda customers: [t | {"data": [cell for row in t["data"] for cell in row]} for t in positional(customers)],
    ],
)
def test_named_and_positional_tensors_are_predicted(client, customers, expected, form):
    answer = client.post(INFER, {"inputs": form(customers)})
    assert_predicts(outputs(answer), expected)
    body = answer.json()
    assert set(body) == {"model_name", "model_version", "outputs"}
    assert body["model_name"] == MODEL
    assert body["model_version"] == expected[0]["model_version"]
    assert all(tensor["shape"] == [len(customers)] for tensor in body["outputs"])


def test_blanks_may_be_null_or_left_out_and_derived_tensors_sent(client, tiny):
    customers = [tiny.customer(i) | dict.fromkeys(NULLABLE) for i in range(3)]
    expected = [client.post(PREDICT, customer).json() for customer in customers]
    tensors = named(customers)
    derived = {"name": DERIVED[0].name, "shape": [3], "datatype": "FP32", "data": [None, -1, 2.5]}
    for inputs in (tensors, [t for t in tensors if t["name"] not in NULLABLE], [*tensors, derived]):
        assert_predicts(outputs(client.post(INFER, {"inputs": inputs})), expected)


def test_only_the_outputs_asked_for_are_given_in_the_order_asked(client, customers):
    asked = [{"name": "margin"}, {"name": "segment_id", "parameters": {"binary_data": False}}]
    answer = client.post(INFER, {"inputs": positional(customers), "outputs": asked})
    assert list(outputs(answer)) == ["margin", "segment_id"]


def test_the_id_is_echoed_and_parameters_and_other_members_are_tolerated(client, customers):
    inputs = [t | {"parameters": {"content_type": "np"}} for t in positional(customers)]
    for rest in (
        {"parameters": {"priority": 3}, "raw_input": 1},
        {"parameters": None, "outputs": None},
        {"outputs": []},
    ):
        answer = client.post(INFER, {"id": "42", "inputs": inputs} | rest)
        assert answer.json()["id"] == "42"
        assert len(outputs(answer)) == 8


def test_nobody_is_predicted_too(client):
    for inputs in (positional([]), named([]), named([], lambda n: [n, 1])):
        assert outputs(client.post(INFER, {"inputs": inputs}))["segment_id"] == []


def test_many_are_predicted(connect, tiny, customers):
    """These go through a thread."""
    client: AsgiClient = connect(model_store=tiny.store)
    few = outputs(client.post(INFER, {"inputs": positional(customers)}))
    many = outputs(client.post(INFER, {"inputs": positional(customers * 500)}))
    assert many["segment_id"] == few["segment_id"] * 500


def binary_request(tensors: list[tuple[str, np.ndarray, str]], **rest) -> tuple[bytes, dict[str, str]]:
    """A request as Triton's client makes it by default: all data behind the JSON text."""
    inputs = [
        {"name": n, "shape": list(a.shape), "datatype": t, "parameters": {"binary_data_size": a.nbytes}}
        for n, a, t in tensors
    ]
    text = orjson.dumps({"inputs": inputs, **rest})
    return text + b"".join(a.tobytes() for _, a, _ in tensors), {"Inference-Header-Content-Length": str(len(text))}


def binary_outputs(answer: Answer) -> dict[str, list]:
    """Read an answer as Triton's client does."""
    assert answer.status == 200, answer.body
    length = int(answer.headers["inference-header-content-length"])
    rest, found = answer.body[length:], {}
    for tensor in orjson.loads(answer.body[:length])["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        data, rest = rest[:size], rest[size:]
        found[tensor["name"]] = texts(data) if tensor["datatype"] == "BYTES" else numbers(data, tensor["datatype"])
        assert len(found[tensor["name"]]) == tensor["shape"][0]
    assert not rest
    return found


def texts(data: bytes) -> list[str]:
    found = []
    while data:
        (size,) = struct.unpack_from("<I", data)
        found.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return found


def numbers(data: bytes, datatype: str) -> list:
    return np.frombuffer(data, {"INT64": np.int64, "FP64": np.float64, "BOOL": np.bool_}[datatype]).tolist()


def table(customers) -> np.ndarray:
    return np.array([[np.nan if c[n] is None else c[n] for n in INPUT_NAMES] for c in customers])


@pytest.mark.parametrize("media_type", [BINARY, None, "application/json"])
@pytest.mark.parametrize("column", [lambda values: values, lambda values: values[:, None]])
def test_binary_tensors_are_predicted(client, customers, expected, media_type, column):
    rows = table(customers)
    body, headers = binary_request(
        [(name, np.ascontiguousarray(column(rows[:, j])), "FP64") for j, name in enumerate(INPUT_NAMES)],
        parameters={"binary_data_output": True},
    )
    headers |= {"content-type": media_type} if media_type else {}
    answer = client.request("POST", INFER, body, headers)
    assert answer.headers["content-type"] == BINARY
    assert_predicts(binary_outputs(answer), expected)


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [("FP64", "<f8"), ("FP32", "<f4"), ("FP16", "<f2"), ("INT64", "<i8"), ("INT32", "<i4"), ("INT16", "<i2"),
     ("UINT64", "<u8"), ("UINT32", "<u4"), ("UINT16", "<u2"), ("UINT8", "u1"), ("INT8", "i1")],
)  # fmt: skip
def test_every_datatype_is_read(client, datatype, dtype):
    customer = {f.name: 1.0 for f in INPUTS}
    expected = outputs(client.post(INFER, {"inputs": positional([customer] * 2)}))
    body, headers = binary_request([("x", np.ones((2, len(INPUTS)), dtype), datatype)])
    assert outputs(client.request("POST", INFER, body, headers)) == expected
    inputs = [t | {"datatype": datatype} for t in named([customer] * 2)]
    assert outputs(client.post(INFER, {"inputs": inputs})) == expected


def test_binary_and_json_may_be_mixed(client, customers, expected):
    rows = table(customers)
    first, *others = INPUT_NAMES
    text = {
        "inputs": [
            {
                "name": first,
                "shape": [len(rows)],
                "datatype": "FP64",
                "parameters": {"binary_data_size": 8 * len(rows)},
            },
            *(t for t in named(customers) if t["name"] in others),
        ],
        "outputs": [{"name": "cluster", "parameters": {"binary_data": True}}, {"name": "segment_id"}],
    }
    head = orjson.dumps(text)
    answer = client.request(
        "POST", INFER, head + rows[:, 0].tobytes(), {"inference-header-content-length": str(len(head))}
    )
    length = int(answer.headers["inference-header-content-length"])
    cluster, segment = orjson.loads(answer.body[:length])["outputs"]
    assert "data" not in cluster
    assert numbers(answer.body[length:], "INT64") == [p["cluster"] for p in expected]
    assert segment["data"] == [p["segment"]["id"] for p in expected]


def changed(customers, **change) -> list[dict]:
    return [tensor | change.get(tensor["name"], {}) for tensor in named(customers)]


@pytest.mark.parametrize(
    ("inputs", "pointers"),
    [
        ([], ["/inputs"]),
        ("text", ["/inputs"]),
        ([7], ["/inputs/0"]),
        ([{}], ["/inputs/0/name", "/inputs/0/shape", "/inputs/0/datatype"]),
        ([{"name": "x", "shape": [], "datatype": "FP64"}], ["/inputs/0/shape"]),
        ([{"name": "x", "shape": [1, 1, 1], "datatype": "FP64"}], ["/inputs/0/shape"]),
        ([{"name": "x", "shape": [-1], "datatype": "FP64"}], ["/inputs/0/shape/0"]),
        ([{"name": "x", "shape": [True], "datatype": "FP64"}], ["/inputs/0/shape/0"]),
        ([{"name": "x", "shape": [1, 17], "datatype": "BYTES", "data": ["a"]}], ["/inputs/0/datatype"]),
        ([{"name": "x", "shape": [1, 17], "datatype": "FP64"}], ["/inputs/0/data"]),
        ([{"name": "x", "shape": [1, 17], "datatype": "FP64", "data": [1.0]}], ["/inputs/0/data"]),
        ([{"name": "x", "shape": [1, 17], "datatype": "FP64", "data": [[1.0]]}], ["/inputs/0/data/0"]),
        ([{"name": "x", "shape": [1, 17], "datatype": "FP64", "data": [*[1.0] * 16, "1"]}], ["/inputs/0/data/16"]),
        ([{"name": "x", "shape": [1, 17], "datatype": "FP64", "data": [*[1.0] * 16, [1]]}], ["/inputs/0/data/16"]),
        ([{"name": "x", "shape": [2**63, 17], "datatype": "FP64", "data": []}], ["/inputs/0/shape"]),
        ([{"name": "x", "shape": [MAX_COLUMNAR + 1, 17], "datatype": "FP64", "data": []}], ["/inputs/0/shape"]),
    ],
)  # fmt: skip
def test_tensors_of_wrong_form_are_refused(client, inputs, pointers):
    assert_refused(client.post(INFER, {"inputs": inputs}), 422, "validation_failed", pointers)


def test_names_and_shapes_must_fit_together(client, customers):
    inputs = named(customers)
    count = len(customers)
    for wrong, pointers in [
        ([inputs[0], *inputs], ["/inputs/1/name"]),
        ([*inputs, inputs[0] | {"name": "AGE"}], [f"/inputs/{len(inputs)}/name"]),
        (inputs[1:], ["/inputs"]),
        (
            changed(customers, TENURE={"shape": [count - 1], "data": [1] * (count - 1)}),
            [f"/inputs/{len(inputs) - 1}/shape"],
        ),
        (
            changed(customers, TENURE={"shape": [count, 2], "data": [1] * 2 * count}),
            [f"/inputs/{len(inputs) - 1}/shape"],
        ),
    ]:
        assert_refused(client.post(INFER, {"inputs": wrong}), 422, "validation_failed", pointers)


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("BALANCE", -5.0, "BALANCE must be at least 0"),
        ("BALANCE", None, "BALANCE must not be null"),
        ("TENURE", 1.5, "TENURE must be a whole number"),
        ("CREDIT_LIMIT", 0, "CREDIT_LIMIT must be greater than 0"),
    ],
)
def test_values_that_break_a_hard_rule_are_pointed_at(client, customers, name, value, detail):
    column = INPUT_NAMES.index(name)
    wrong = [*customers[:3], customers[3] | {name: value}]
    for inputs, place in [
        (positional(wrong), f"/inputs/0/data/3/{column}"),
        (named(wrong), f"/inputs/{column}/data/3"),
        (named(wrong, lambda n: [n, 1]), f"/inputs/{column}/data/3/0"),
    ]:
        error = assert_refused(client.post(INFER, {"inputs": inputs}), 422, "validation_failed", [place])
        assert error.endswith(f"{place} {detail}")


def test_numbers_that_json_does_not_have_are_refused_in_binary_too(client, customers):
    rows = table(customers[:1])
    rows[0, 0] = np.inf
    body, headers = binary_request([("x", rows, "FP64")])
    error = assert_refused(
        client.request("POST", INFER, body, headers), 422, "validation_failed", ["/inputs/0/data/0/0"]
    )
    assert "BALANCE must be a finite number" in error
    body = orjson.dumps({"inputs": positional(customers[:1])}).replace(b"0.", b"NaN,0.", 1)
    assert_refused(client.request("POST", INFER, body), 400, "malformed_json")


def test_only_so_many_faults_are_named(client, customers):
    answer = client.post(INFER, {"inputs": positional([dict.fromkeys(INPUT_NAMES, -1)] * 20)})
    assert len(answer.json()["errors"]) == 100
    assert answer.json()["error"].count("/inputs/0/data") == 3


def test_unknown_outputs_are_refused(client, customers):
    asked = [{"name": "cluster"}, {"name": "probability"}]
    answer = client.post(INFER, {"inputs": positional(customers), "outputs": asked})
    assert "segment_id" in assert_refused(answer, 422, "validation_failed", ["/outputs/1/name"])


@pytest.mark.parametrize("length", ["", "x", "-1", "1e3", "99999999", "²", "9" * 5000])
def test_a_wrong_length_of_the_json_text_is_refused(client, customers, length):
    body, headers = binary_request([("x", table(customers), "FP64")])
    answer = client.request("POST", INFER, body, headers | {"Inference-Header-Content-Length": length})
    assert_refused(answer, 400, "bad_request")


@pytest.mark.parametrize(
    ("size", "tail", "pointer"),
    [
        (8 * 17, b"", "/inputs/0"),
        (8 * 17, bytes(8 * 16), "/inputs/0"),
        (8 * 17, bytes(8 * 18), ""),
        (8 * 16, bytes(8 * 16), "/inputs/0/parameters/binary_data_size"),
        ("136", bytes(8 * 17), "/inputs/0/parameters/binary_data_size"),
        (True, bytes(8 * 17), "/inputs/0/parameters/binary_data_size"),
        (-8, bytes(8 * 17), "/inputs/0/parameters/binary_data_size"),
    ],
)
def test_binary_data_of_wrong_size_are_refused(client, size, tail, pointer):
    tensor = {"name": "x", "shape": [1, 17], "datatype": "FP64", "parameters": {"binary_data_size": size}}
    text = orjson.dumps({"inputs": [tensor]})
    answer = client.request("POST", INFER, text + tail, {"Inference-Header-Content-Length": str(len(text))})
    assert_refused(answer, 422, "validation_failed", [pointer])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'{"inputs": [{"name": 1}]}'])
def test_other_bodies_are_refused(client, body):
    answer = client.request("POST", INFER, body)
    assert answer.status in (400, 422)
    assert answer.json()["error"]


def test_media_types_encodings_and_sizes_that_are_not_taken(client, customers):
    body = orjson.dumps({"inputs": positional(customers)})
    refused = client.request("POST", INFER, body, {"content-type": "application/x-www-form-urlencoded"})
    assert_refused(refused, 415, "unsupported_media_type")
    refused = client.request("POST", INFER, body, {"content-encoding": "gzip"})
    assert "compressed" in assert_refused(refused, 415, "unsupported_media_type")
    assert_refused(client.request("POST", INFER, body + b" " * 200_000), 413, "body_too_large")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(INPUT_NAMES) | JUNK,
        "shape": st.lists(st.integers(0, 3) | st.just(17), max_size=3) | JUNK,
        "datatype": st.sampled_from(["FP64", "INT8", "BOOL"]) | JUNK,
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers(0, 200) | JUNK) | JUNK,
        "data": st.lists(st.floats(0, 1) | st.none() | JUNK, max_size=20) | JUNK,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    inputs=st.lists(TENSOR, max_size=3) | JUNK,
    rest=st.dictionaries(st.sampled_from(["id", "outputs"]), JUNK),
    tail=st.binary(max_size=200),
)
def test_whatever_is_sent_is_answered_or_refused(client, inputs, rest, tail):
    text = orjson.dumps({"inputs": inputs, **rest})
    answer = client.request("POST", INFER, text + tail, {"Inference-Header-Content-Length": str(len(text))})
    assert answer.status in (200, 400, 422), answer.body


def test_the_protocol_is_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    mine = {path: methods for path, methods in paths.items() if path.startswith("/v2")}
    model = [f"/v2/models/{{name}}{version}{end}" for version in ("", "/versions/{version}") for end in ENDS]
    assert set(mine) == {"/v2", "/v2/health/live", "/v2/health/ready", *model}
    for path, methods in mine.items():
        for operation in methods.values():
            parameters = [p["name"] for p in operation.get("parameters", [])]
            assert sorted(parameters) == [name for name in ("name", "version") if f"{{{name}}}" in path]
            assert "$ref" not in str(operation.get("requestBody")), "or it would have to be resolved"
