"""MongoDB itself refuses documents that break the data dictionary, whoever writes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contracts.customers import assignment
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import WriteError
from support.customers import stored
from support.servers import own_database

from gateway.data_access.mongo.customer_schema import customer_schema, validator
from gateway.data_access.mongo.schema import MongoSchema
from shared.features import CUST_ID, FEATURES, INPUTS, Feature, Kind


def _document(**changes: object) -> dict[str, object]:
    customer = stored("A", assignment())
    return {"_id": customer.pop(CUST_ID), **customer, **changes}


@pytest.fixture(scope="module")
def customers(mongo_client: MongoClient) -> Iterator[Collection]:
    """A prepared collection; all documents here are refused, so the tests can share it."""
    with own_database(mongo_client) as name:
        MongoSchema(mongo_client[name], [customer_schema("customers")]).bring_up_to_date()
        yield mongo_client[name]["customers"]


@pytest.fixture(autouse=True)
def _left_empty(customers: Collection) -> Iterator[None]:
    yield
    assert customers.delete_many({}).acknowledged


def test_takes_a_good_document(customers: Collection) -> None:
    customers.insert_one(_document())
    assert customers.count_documents({}) == 1


@pytest.mark.parametrize("feature", INPUTS, ids=lambda f: f.name)
def test_refuses_values_that_break_a_hard_rule(customers: Collection, feature) -> None:
    below = feature.minimum if feature.exclusive_minimum else feature.minimum - 1
    bad = [below, feature.maximum + 1, float("nan"), "1", True, {}]
    bad += [feature.maximum - 0.5] if feature.whole else []
    bad += [] if feature.nullable else [None]
    for value in bad:
        value = int(value) if feature.whole and value in (below, feature.maximum + 1) else value
        with pytest.raises(WriteError, match="Document failed validation"):
            customers.insert_one(_document(**{feature.name: value}))


@pytest.mark.parametrize("name", sorted(_document()))
def test_refuses_documents_without(customers: Collection, name: str) -> None:
    document = _document()
    del document[name]
    with pytest.raises(WriteError, match="Document failed validation"):
        customers.insert_one(document)


@pytest.mark.parametrize("cust_id", ["", "a/b", "a b", "ä", "a\n", "x" * 65, ".", "..", 1, None])
def test_refuses_ids_that_no_address_can_name(customers: Collection, cust_id: object) -> None:
    with pytest.raises(WriteError, match="Document failed validation"):
        customers.insert_one(_document(_id=cust_id))


@pytest.mark.parametrize(
    "changes",
    [
        {"segment_status": "unknown"},
        {"segment": "seg-01"},
        {"segment": {"id": "seg-01"}},
        {"revision": 1},
        {"created_at": "2024-01-01"},
        {"updated_at": None},
    ],
)
def test_refuses_broken_bookkeeping(customers: Collection, changes: dict[str, object]) -> None:
    with pytest.raises(WriteError, match="Document failed validation"):
        customers.insert_one(_document(**changes))


def test_holds_for_updates_as_well(customers: Collection) -> None:
    customers.insert_one(_document())
    with pytest.raises(WriteError, match="Document failed validation"):
        customers.update_one({"_id": "A"}, {"$set": {"TENURE": 13}})


def test_a_feature_more_in_the_dictionary_brings_its_rules(mongo_client: MongoClient) -> None:
    new = Feature("LATE_PAYMENTS", Kind.COUNT, "Payments that came too late", maximum=1e6)
    with own_database(mongo_client) as name:
        extended = mongo_client[name].create_collection("customers", validator=validator((*FEATURES, new)))
        extended.insert_one(_document(LATE_PAYMENTS=3))
        for changes in ({}, {"LATE_PAYMENTS": -1}, {"LATE_PAYMENTS": 0.5}, {"LATE_PAYMENTS": None}):
            with pytest.raises(WriteError, match="Document failed validation"):
                extended.insert_one(_document(_id="B", **changes))
