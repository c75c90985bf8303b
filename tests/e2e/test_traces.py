"""One trace from the request at the gateway into tier 2, with MongoDB in it and nothing of a customer."""

from __future__ import annotations

import json
import subprocess
import sys

from support.collector import TRACES, Collector, Received, collecting
from support.customers import body

from tests.conftest import ROOT
from tests.e2e.conftest import GRANIAN, UVICORN, System, wait_until

PERSON, BALANCE = "Traced-4711", 4711.815162
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CREATE = "POST /api/v1/customers"


def _of(collector: Collector, name: str) -> Received | None:
    return next((span for span in collector.spans if span.name.casefold() == name.casefold()), None)


def test_one_trace_leads_through_both_tiers(system: System) -> None:
    with collecting() as collector:
        system.env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        system.env["FASTAPI_OTEL_AUTO_CONFIGURE"] = "true"  # which must turn nothing on
        system.start_model(UVICORN)
        system.start_gateway(GRANIAN)
        system.start_worker()
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        sent = body(PERSON, BALANCE=BALANCE)
        created = system.http.post(f"{system.base}/api/v1/customers", json=sent, headers=headers, timeout=10)
        assert created.status_code == 201
        assert system.http.get(f"{system.base}/api/v1/customers/{PERSON}?as_of=x", timeout=10).status_code == 422
        names = (CREATE, "POST /v1/predict", "GET /api/v1/customers/{CUST_ID}", "duty relay")
        wait_until(lambda: all(_of(collector, name) for name in names), "all spans")
        _assert_one_trace(collector.spans, system)
        # What waited with nothing done is not sent, and health is no matter for traces.
        assert not [span for span in collector.spans if span.attributes.get("worker.done") == "0"]
        assert not [span for span in collector.spans if "health" in span.name]
        assert collector.paths == {TRACES}
        said = b"".join(collector.bodies)
        assert PERSON.encode() not in said
        assert str(BALANCE).encode() not in said
        assert system.key.encode() not in said


def _assert_one_trace(spans: list[Received], system: System) -> None:
    of_trace = {span.id: span for span in spans if span.trace_id == TRACE}
    (request,) = [span for span in of_trace.values() if span.name == CREATE]
    assert (request.service, request.parent, request.attributes["http.route"]) == (
        "gateway",
        CALLER,
        "/api/v1/customers",
    )
    assert request.attributes["http.response.status_code"] == "201"
    (predict,) = [span for span in of_trace.values() if span.name == "POST /v1/predict"]
    call = of_trace[predict.parent]
    assert (predict.service, call.service, call.name) == ("model-service", "gateway", "POST model service")
    assert call.parent == request.id
    written = [span for span in of_trace.values() if span.attributes.get("db.collection.name") == "customers"]
    assert {span.parent for span in written} == {request.id}
    assert not [name for span in spans for name in span.attributes if "statement" in name or "text" in name]
    logged = [json.loads(line) for line in system.log("gateway").splitlines()]
    assert [line["route"] for line in logged if line.get("trace_id") == TRACE] == ["/api/v1/customers"]


def test_without_an_endpoint_nothing_of_it_is_imported() -> None:
    program = (
        "import sys, gateway.app, gateway.wiring, gateway.worker\n"
        "gateway.app.create_app()\n"
        "print(*[name for name in sys.modules if name.startswith('opentelemetry')])\n"
        "import model_service.app\n"
        "model_service.app.create_app()\n"  # FastAPI itself loads the interface, which does nothing
        "print(*[name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n\n"
