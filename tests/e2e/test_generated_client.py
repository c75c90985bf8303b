"""A client that openapi-python-client generates from the document works, without a word of warning."""

from __future__ import annotations

import importlib
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.api_story import ANN, BOB, FEATURES, FILE

from shared.features import CUST_ID
from tests.e2e.conftest import GRANIAN, System

logging.getLogger("httpx").setLevel(logging.WARNING)  # the client's own: a line for each address that it asks for

# The generator knows JSON and files; other media types are files to it.
CONFIGURATION = {
    "project_name_override": "segmentation-client",
    "package_name_override": "segmentation_client",
    "content_type_overrides": dict.fromkeys(
        [
            "text/csv",
            "text/tab-separated-values",
            "application/x-ndjson",
            "application/vnd.apache.parquet",
            "image/svg+xml",
            "image/png",
        ],
        "application/octet-stream",
    ),
    "post_hooks": [],
}


class Generated:
    """The generated package, its parts by name."""

    def __init__(self, base: str, key: str) -> None:
        client = self._module("client")
        self.client = client.AuthenticatedClient(base_url=base, token=key, raise_on_unexpected_status=True)

    def call(self, resource: str, operation: str, *arguments: Any, **parameters: Any) -> Any:
        """Call an operation; return its answer with the status, the headers and the parsed body."""
        function = self._module(f"api.{resource}.{operation}").sync_detailed
        return function(*arguments, client=self.client, **parameters)

    def model(self, name: str) -> Any:
        """Return the class of a body."""
        return getattr(self._module("models"), name)

    @staticmethod
    def _module(name: str) -> ModuleType:
        return importlib.import_module(f"segmentation_client.{name}")


@pytest.fixture
def generated(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Generated]:
    """A client generated from the document of a running system."""
    system.start_model()
    system.start_gateway(GRANIAN)
    document, configuration = tmp_path / "openapi.json", tmp_path / "configuration.json"
    document.write_bytes(system.http.get(f"{system.base}/openapi.json", timeout=10).content)
    configuration.write_text(json.dumps(CONFIGURATION))
    generator = str(Path(sys.executable).with_name("openapi-python-client"))
    options = ["--path", str(document), "--config", str(configuration), "--meta", "none", "--fail-on-warning"]
    output = ["--output-path", str(tmp_path / "segmentation_client")]
    done = subprocess.run([generator, "generate", *options, *output], capture_output=True, text=True, timeout=120)
    assert (done.returncode, "WARNING" in done.stdout) == (0, False), done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    client = Generated(system.base, system.key)
    yield client
    client.client.get_httpx_client().close()


def test_a_generated_client_does_what_a_crm_does(generated: Generated) -> None:
    created = generated.call("customers", "create_customer", body=generated.model("NewCustomer").from_dict(ANN))
    assert (created.status_code, created.parsed.cust_id) == (201, ANN[CUST_ID])
    _changes_what_it_knows(generated, created.headers["ETag"])
    _pages_through_all(generated)
    _imports(generated)
    _predicts(generated)


def _changes_what_it_knows(generated: Generated, etag: str) -> None:
    changes = generated.model("CustomerPatch").from_dict({"BALANCE": 1500.5})
    changed = generated.call("customers", "patch_customer", ANN[CUST_ID], body=changes, if_match=etag)
    assert (changed.status_code, changed.parsed.balance) == (200, 1500.5)
    refused = generated.call("customers", "patch_customer", ANN[CUST_ID], body=changes, if_match=etag)
    assert (refused.status_code, refused.parsed.code) == (412, "revision_mismatch")


def _pages_through_all(generated: Generated) -> None:
    rows = [BOB | {CUST_ID: f"P{number}"} for number in range(4)]
    batch = generated.model("CustomerBatch").from_dict({"customers": rows})
    assert generated.call("customers", "write_customers", body=batch).parsed.created == 4
    seen, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = generated.call("customers", "list_customers", limit=2, **more).parsed
        seen += [customer.cust_id for customer in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [ANN[CUST_ID], "P0", "P1", "P2", "P3"]


def _imports(generated: Generated) -> None:
    file = importlib.import_module("segmentation_client.types").File(io.BytesIO(FILE))
    receipt = generated.call("imports", "import_customers", body=file, name="crm.csv", dry_run=False)
    assert (receipt.status_code, receipt.parsed.rows, receipt.parsed.rejected) == (201, 3, 1)
    again = generated.call("imports", "get_import", receipt.parsed.id)
    assert again.parsed.errors[0].line == 4


def _predicts(generated: Generated) -> None:
    features = generated.model("CustomerFeatures").from_dict(FEATURES)
    prediction = generated.call("predictions", "predict", body=features, explain=True).parsed
    assert prediction.segment.id.startswith("seg-")
    assert prediction.explanation.contributions
