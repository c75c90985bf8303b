from __future__ import annotations

import re

import numpy as np
import pytest
from asgi_client import AsgiClient, assert_problem
from hypothesis import given
from hypothesis import strategies as st
from plausible_models import drawn
from test_active_model import copy_version

from model_service.scoring.explanation import Explainer
from model_service.scoring.pipeline import CompiledScorer, Parameters
from model_service.scoring.wording import AGAINST, FOR
from model_service.store.registry import ModelStore
from shared.contract import (
    MAX_BATCH,
    PREDICT,
    PREDICT_BATCH,
    Change,
    Contribution,
    Counterfactual,
    Explanation,
    SegmentRef,
)
from shared.features import BY_NAME, DISTANCE, DISTANCE_NAMES, INPUTS

VERBS = r" (?:is|are|was|come) "
EXPLAINED = PREDICT + "?explain=true"
BATCH_EXPLAINED = PREDICT_BATCH + "?explain=true"


def explain(model, borderline=False, currency=""):
    scores = model.scorer.score(model.rows)
    names = {"segment": SegmentRef(id="seg-01", name="Own"), "rival": SegmentRef(id="seg-02", name="Others")}
    predictions = [names | {"borderline": borderline}] * len(model.rows)
    explainer = Explainer(model.scorer, model.low, model.high, currency=currency)
    return scores, explainer.explain(model.rows, scores.nearest, scores.rival, predictions)


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 6))
def test_the_contributions_sum_to_the_gap_of_the_distances(seed, k):
    model = drawn(seed, k)
    parameters = model.scorer.parameters
    scores, explanations = explain(model)
    z = parameters.standardise(model.rows)
    for i, explanation in enumerate(explanations):
        own, rival = (float(np.sum((z[i] - parameters.centroids[c[i]]) ** 2)) for c in (scores.nearest, scores.rival))
        parts = [c["contribution"] for c in explanation["contributions"]]
        assert explanation["gap"] == pytest.approx(rival - own, abs=1e-9)
        assert sum(parts) == pytest.approx(explanation["gap"], abs=1e-9)
        assert np.abs(parts).tolist() == sorted(np.abs(parts), reverse=True)
        assert {c["feature"] for c in explanation["contributions"]} == set(DISTANCE_NAMES)


def test_an_explanation_has_the_customer_s_values_and_units(client, tiny):
    customer = tiny.customer()
    prediction = client.post(EXPLAINED, customer).json()
    explanation = prediction["explanation"]
    assert set(explanation) == set(Explanation.__annotations__)
    gap = (prediction["distance"] + prediction["margin"]) ** 2 - prediction["distance"] ** 2
    assert explanation["gap"] == pytest.approx(gap, abs=1e-3)
    for contribution in explanation["contributions"]:
        assert set(contribution) == set(Contribution.__annotations__) - {"left_out"}
        assert contribution["value"] == customer[contribution["feature"]]
        assert contribution["unit"] == BY_NAME[contribution["feature"]].unit


def test_missing_values_are_null_and_said_to_be_unknown(client, tiny):
    explanation = client.post(EXPLAINED, tiny.customer() | {"CREDIT_LIMIT": None}).json()["explanation"]
    values = {c["feature"]: c["value"] for c in explanation["contributions"]}
    assert values["CREDIT_LIMIT"] is None
    assert values["TENURE"] is not None


def test_a_changed_customer_is_predicted_as_the_rival(client, tiny):
    customer = between(tiny.customer(1), tiny.customer(70))
    explained = client.post(EXPLAINED, customer).json()
    counterfactual = explained["explanation"]["counterfactual"]
    assert set(counterfactual) == set(Counterfactual.__annotations__)
    assert counterfactual["segment"] == explained["rival"]
    assert explained["rival"]["name"] in counterfactual["sentence"]
    changes = counterfactual["changes"]
    assert all(set(change) == set(Change.__annotations__) for change in changes)
    assert all(change["value"] == customer[change["feature"]] for change in changes)
    after = client.post(PREDICT, customer | {change["feature"]: change["changed"] for change in changes}).json()
    assert after["segment"] == explained["rival"]


def test_a_customer_far_from_the_border_gets_no_change(client, tiny):
    assert client.post(EXPLAINED, tiny.customer(1)).json()["explanation"]["counterfactual"] is None


def between(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """A customer near the middle between two, in log space."""
    middle = {n: np.expm1(0.52 * np.log1p(one[n]) + 0.48 * np.log1p(other[n])).item() for n in one}
    return {name: float(round(value)) if BY_NAME[name].whole else value for name, value in middle.items()}


def toy(own: dict[str, float], rival: dict[str, float], customer: dict[str, float]):
    """Two segments; features are in their units, those not named are 1 everywhere."""
    rows = np.ones((3, len(DISTANCE)))
    for row, values in zip(rows, (own, rival, customer), strict=True):
        for name, value in values.items():
            row[DISTANCE_NAMES.index(name)] = value
    ones = np.ones(len(DISTANCE))
    scorer = CompiledScorer(Parameters(ones * 3000, 0 * ones, ones, np.log1p(rows[:2])))
    high = np.array([min(f.maximum, 1e6) for f in DISTANCE])
    return drawn(0, 2)._replace(scorer=scorer, low=0 * ones, high=high, rows=rows[2:])


CASE = (
    {"CREDIT_LIMIT": 3000, "PURCHASES_FREQUENCY": 0.0, "TENURE": 12, "PAYMENTS": 10},
    {"CREDIT_LIMIT": 1000, "PURCHASES_FREQUENCY": 1.0, "TENURE": 6, "PAYMENTS": 20},
)


@pytest.mark.parametrize(
    ("customer", "borderline", "sentence"),
    [
        (
            {"CREDIT_LIMIT": 3000, "PURCHASES_FREQUENCY": 0.25, "TENURE": 11, "PAYMENTS": 18.5},
            False,
            "In Own rather than Others, mainly because the credit limit is 3,000, the time as a customer is 11 "
            "months and there are purchases in 25% of months; on the other hand, payments in 12 months come to 18.5.",
        ),
        (
            {"CREDIT_LIMIT": 4200.4, "PURCHASES_FREQUENCY": 1 / 12, "TENURE": 12, "PAYMENTS": 10},
            False,
            "In Own rather than Others, mainly because the credit limit is 4,200, payments in 12 months "
            "come to 10 and the time as a customer is 12 months.",
        ),
        (
            {"CREDIT_LIMIT": 200_000, "TENURE": 12, "PURCHASES_FREQUENCY": 1.0, "PAYMENTS": 14},
            False,
            "In Own rather than Others, mainly because the credit limit is 200,000.",
        ),
        (
            {"CREDIT_LIMIT": np.nan, "PURCHASES_FREQUENCY": 1.0, "TENURE": 9, "PAYMENTS": 10},
            True,
            "Only just in Own rather than Others, mainly because the credit limit is unknown (taken as "
            "3,000) and payments in 12 months come to 10; on the other hand, there are purchases in 100% of months.",
        ),
    ],
)
def test_the_sentence_gives_the_main_reasons_of_both_signs(customer, borderline, sentence):
    (explanation,) = explain(toy(*CASE, customer), borderline)[1]
    assert explanation["sentence"] == sentence


LIMITS = ({"CREDIT_LIMIT": 3000}, {"CREDIT_LIMIT": 999})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"TENURE": 1}, "the time as a customer is 1 month."),
        ({"CREDIT_LIMIT": 1e-300}, "the credit limit is 1e-300."),
        ({"CREDIT_LIMIT": 0.001}, "the credit limit is 0.001."),
        ({"PURCHASES_FREQUENCY": 0.001}, "there are purchases in 0.1% of months."),
        ({"PURCHASES_FREQUENCY": 0.0}, "there are purchases in 0% of months."),
    ],
)
def test_numbers_are_said_as_people_read_them(values, said):
    (name,) = values
    explanation = explain(toy(values, {name: 12}, values))[1][0]
    assert explanation["sentence"].endswith(said)


@pytest.mark.parametrize(
    ("currency", "limit", "changed"),
    [
        ("EUR", "€3,000", "€1,731.33"),
        ("USD", "$3,000", "$1,731.33"),
        ("CHF", "CHF\N{NO-BREAK SPACE}3,000", "CHF\N{NO-BREAK SPACE}1,731.33"),
    ],
)
def test_amounts_are_said_in_the_currency_of_the_bank(currency, limit, changed):
    (explanation,) = explain(toy(*LIMITS, {"CREDIT_LIMIT": 3000}), currency=currency)[1]
    assert f"the credit limit is {limit}." in explanation["sentence"]
    assert f"the credit limit is {changed} instead of {limit}." in explanation["counterfactual"]["sentence"]


def test_customers_on_top_of_each_other_have_no_reasons():
    (explanation,) = explain(toy(CASE[0], CASE[0], {}))[1]
    assert explanation["sentence"] == "In Own rather than Others."
    assert explanation["gap"] == 0
    assert explanation["counterfactual"] is None


@pytest.mark.parametrize(
    ("segments", "customer", "sentence"),
    [
        (LIMITS, {"CREDIT_LIMIT": 3000}, "the credit limit is 1,731.33 instead of 3,000"),
        (
            LIMITS,
            {"CREDIT_LIMIT": np.nan},
            "the credit limit is 1,731.33 instead of unknown (taken as 3,000)",
        ),
        (
            ({"PURCHASES_FREQUENCY": 0.0}, {"PURCHASES_FREQUENCY": 0.5}),
            {"PURCHASES_FREQUENCY": 1 / 12},
            "there are purchases in 22.5% instead of 8.3% of months",
        ),
        (({"TENURE": 12}, {"TENURE": 6}), {"TENURE": 12}, "the time as a customer is 8 months instead of 12 months"),
        (({"TENURE": 1}, {"TENURE": 12}), {"TENURE": 1}, "the time as a customer is 5 months instead of 1 month"),
    ],
)
def test_the_change_is_said_exactly(segments, customer, sentence):
    (explanation,) = explain(toy(*segments, customer))[1]
    assert explanation["counterfactual"]["sentence"] == f"The customer would move to Others if {sentence}."


@given(seed=st.integers(0, 2**32 - 1), borderline=st.booleans())
def test_sentences_are_short_whole_and_the_same_again(seed, borderline):
    model = drawn(seed, 4)
    sentences = [e["sentence"] for e in explain(model, borderline)[1]]
    assert sentences == [e["sentence"] for e in explain(model, borderline)[1]]
    for sentence in sentences:
        assert sentence.startswith("Only just in Own" if borderline else "In Own")
        assert sentence.endswith(".")
        assert "nan" not in sentence
        assert "{" not in sentence
        reasons, _, objections = sentence.partition("; on the other hand, ")
        assert len(re.findall(VERBS, reasons)) <= FOR
        assert len(re.findall(VERBS, objections)) <= AGAINST


def test_a_batch_is_explained_like_each_customer_alone(client, tiny):
    batch = [tiny.customer(i) for i in range(0, 180, 9)]
    alone = [client.post(EXPLAINED, customer).json() for customer in batch]
    together = client.post(BATCH_EXPLAINED, {"customers": batch}).json()["predictions"]
    for one, other in zip(alone, together, strict=True):
        assert one.pop("explanation")["sentence"] == other.pop("explanation")["sentence"]
        assert one == other


def test_in_a_batch_only_faultless_customers_are_explained(client, tiny):
    batch = {"customers": [tiny.customer(), tiny.customer() | {"TENURE": 0}, tiny.customer(2)]}
    first, second, third = client.post(BATCH_EXPLAINED, batch).json()["predictions"]
    assert "explanation" in first
    assert set(second) == {"error"}
    assert third == client.post(EXPLAINED, tiny.customer(2)).json()
    assert client.post(BATCH_EXPLAINED, {"customers": [{}]}).json()["predictions"][0].keys() == {"error"}
    assert client.post(BATCH_EXPLAINED, {"customers": []}).json() == {"predictions": []}


def test_the_largest_batch_is_explained(connect, tiny):
    client = connect(model_store=tiny.store)
    answer = client.post(BATCH_EXPLAINED, {"customers": [tiny.customer()] * MAX_BATCH}).json()["predictions"]
    assert len(answer) == MAX_BATCH
    assert all(prediction == answer[0] for prediction in answer)


@pytest.mark.parametrize("path", [PREDICT + "?explain=false", PREDICT + "?", PREDICT + "?version=active"])
def test_without_the_wish_nothing_is_explained(client, tiny, path):
    assert client.post(path, tiny.customer()).json() == client.post(PREDICT, tiny.customer()).json()


@pytest.mark.parametrize("path", [PREDICT, PREDICT_BATCH])
@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("explain=1", ["?explain"]),
        ("explain=True", ["?explain"]),
        ("explain=", ["?explain"]),
        ("explain", ["?explain"]),
        ("explain=true&explain=true", ["?explain"]),
        ("explian=true", ["?explian"]),
        ("b=1&a=2&explain=x", ["?a", "?b", "?explain"]),
        ("%00", ["?\x00"]),
    ],
)
def test_other_parameters_and_values_are_refused(client, tiny, path, query, pointers):
    assert_problem(client.post(f"{path}?{query}", tiny.customer()), 422, "validation_failed", pointers)


def test_columns_are_not_explained(client, tiny):
    columns = {f.name: [tiny.customer()[f.name]] for f in INPUTS}
    body = assert_problem(client.post(BATCH_EXPLAINED, {"columns": columns}), 422, "validation_failed", ["?explain"])
    assert "customers" in body["errors"][0]["detail"]
    assert client.post(PREDICT_BATCH + "?explain=false", {"columns": columns}).status == 200


@pytest.fixture
def two_versions(store: ModelStore) -> tuple[str, str]:
    """The active version and another one."""
    return store.versions()[0], copy_version(store)


def test_another_version_predicts_when_it_is_named(connect, store, tiny, two_versions):
    client: AsgiClient = connect(model_store=store.directory)
    active, _ = two_versions
    assert client.post(PREDICT, tiny.customer()).json()["model_version"] == active
    for version in two_versions:
        assert client.post(f"{PREDICT}?version={version}", tiny.customer()).json()["model_version"] == version
        explained = client.post(f"{PREDICT}?explain=true&version={version}", tiny.customer()).json()
        assert explained["model_version"] == version
        assert "explanation" in explained
        batch = client.post(f"{PREDICT_BATCH}?version={version}", {"customers": [tiny.customer()]}).json()
        assert batch["predictions"][0]["model_version"] == version
        columns = {f.name: [tiny.customer()[f.name]] for f in INPUTS}
        columnar = client.post(f"{PREDICT_BATCH}?version={version}", {"columns": columns}).json()
        assert columnar["model_version"] == version


@pytest.mark.parametrize("version", ["20000101T000000Z-00000000", "", "../models", "%2e%2e", "1"])
@pytest.mark.parametrize("path", [PREDICT, PREDICT_BATCH])
def test_unknown_versions_are_not_found(client, tiny, path, version):
    assert_problem(client.post(f"{path}?version={version}", tiny.customer()), 404, "version_not_found")


def test_the_query_is_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path in (PREDICT, PREDICT_BATCH):
        parameters = {p["name"]: p["in"] for p in paths[path]["post"]["parameters"]}
        assert parameters == {"version": "query", "explain": "query"}
