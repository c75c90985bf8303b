"""To add a feature is to add one entry to the data dictionary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pydantic
import pytest
from marshmallow import ValidationError
from support.customers import body, inputs
from support.one_more_feature import NAME

from gateway.data_access.mongo.customer_schema import validator
from gateway.schemas.customers import customer_schema, patch_schema
from model_service.api.customers import customer_model
from shared.features import FEATURES, Feature, Kind
from tests.conftest import ROOT

NEW = Feature(NAME, Kind.COUNT, "Payments that came too late", maximum=1e6)
EXTENDED = (*FEATURES, NEW)
BAD = [-1, 1_000_001, 0.5, "1", True, None]

# Everything at once, in a process whose dictionary has the entry: JSON and CSV in, the stored document out.
SCRIPT = f"""
import json
from support.customers import body
from fakes.gateway import CUSTOMERS, FakeGateway
from gateway.files.reader import CustomerFile
gateway = FakeGateway()
good = body({NAME}=3)
created = gateway.client.post(CUSTOMERS, json=good)
bad = gateway.client.post(CUSTOMERS, json=body("C2", {NAME}=0.5))
missing = {{name: value for name, value in body("C3").items() if name != "{NAME}"}}
lacking = gateway.client.post(CUSTOMERS, json=missing)
patched = gateway.client.patch(CUSTOMERS + "/C1", json={{"{NAME}": 4}}).json
csv = ",".join(good) + "\\n" + ",".join(map(str, good.values()))
(batch,) = CustomerFile("text/csv", [csv.encode()]).batches()
print(json.dumps([created.json["{NAME}"], [r.json["errors"][0]["pointer"] for r in (bad, lacking)],
                  patched["{NAME}"], batch.customers[0][1]["{NAME}"]]))
"""


def test_is_enough_for_the_whole_gateway() -> None:
    command = [sys.executable, "-m", "support.one_more_feature", SCRIPT]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [3, [f"/{NAME}", f"/{NAME}"], 4, 3]


def test_is_enough_for_the_schemas_of_the_gateway() -> None:
    assert customer_schema(EXTENDED).load(body(**{NAME: 3}))[NAME] == 3
    assert patch_schema(EXTENDED).load({NAME: 3}) == {NAME: 3}
    with pytest.raises(ValidationError, match="is missing"):
        customer_schema(EXTENDED).load(body())


@pytest.mark.parametrize("value", BAD)
def test_brings_its_rules_to_the_schemas_of_the_gateway(value: Any) -> None:
    for schema, sent in ((customer_schema(EXTENDED), body(**{NAME: value})), (patch_schema(EXTENDED), {NAME: value})):
        with pytest.raises(ValidationError) as caught:
            schema.load(sent)
        assert list(caught.value.messages) == [NAME]


def test_brings_its_rules_to_the_schema_of_the_model_service() -> None:
    schema = customer_model(EXTENDED)
    assert schema.model_validate(inputs(**{NAME: 3}))
    for value in BAD:
        with pytest.raises(pydantic.ValidationError, match=NAME):
            schema.model_validate(inputs(**{NAME: value}))
    with pytest.raises(pydantic.ValidationError, match=NAME):
        schema.model_validate(inputs())


def test_brings_its_rules_to_the_validator_of_mongodb() -> None:
    schema = validator(EXTENDED)["$jsonSchema"]
    assert NAME in schema["required"]
    assert schema["properties"][NAME] == {"bsonType": ["int", "long"], "minimum": 0.0, "maximum": 1e6}
