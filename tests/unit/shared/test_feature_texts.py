"""What people read about the columns: the data dictionary of the data set, in its own words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.features import BY_NAME, FEATURES, Feature, Kind
from tests.conftest import ROOT

DICTIONARY = {
    "BALANCE": "average balance",
    "BALANCE_FREQUENCY": "share of months with a balance",
    "PURCHASES": "total amount of purchases in 12 months",
    "ONEOFF_PURCHASES": "total amount of one-off purchases in 12 months",
    "INSTALLMENTS_PURCHASES": "total amount of instalment purchases in 12 months",
    "CASH_ADVANCE": "total amount of cash advances in 12 months",
    "PURCHASES_FREQUENCY": "share of months with purchases",
    "ONEOFF_PURCHASES_FREQUENCY": "share of months with one-off purchases",
    "PURCHASES_INSTALLMENTS_FREQUENCY": "share of months with instalment purchases",
    "CASH_ADVANCE_FREQUENCY": "share of months with cash advances",
    "CASH_ADVANCE_TRX": "number of cash advances in 12 months",
    "PURCHASES_TRX": "number of purchases in 12 months",
    "CREDIT_LIMIT": "limit",
    "PAYMENTS": "total amount of payments in 12 months",
    "MINIMUM_PAYMENTS": "minimum payments",
    "PRC_FULL_PAYMENT": "share of months in which the balance was paid in full",
    "TENURE": "months as a customer",
    "AVERAGE_PURCHASE_TRX": "mean amount of one purchase",
}
"""What every description has to say, from the data dictionary that came with the public data."""

# A balance on a credit card is a debt. These speak of it, or of the limit, as of money that the customer has.
CREDIT = re.compile(
    r"\b(balance|money|amount|sum|funds)\b[^.;|]{0,30}\b(left|saved|available|deposited|remaining)\b"
    r"|\b(in|on) the(ir)? account\b|\bsavings\b|\bto make purchases\b",
    re.IGNORECASE,
)


def test_every_description_says_what_the_data_dictionary_says() -> None:
    assert list(DICTIONARY) == list(BY_NAME)
    unlike = {f.name: f.description for f in FEATURES if DICTIONARY[f.name] not in f.description.lower()}
    assert unlike == {}


def test_the_balance_is_what_the_customer_owes() -> None:
    balance = BY_NAME["BALANCE"]
    assert "owe" in balance.description
    assert "owe" in balance.label
    assert "owe" in balance.clause


def texts() -> list[Path]:
    """Every file of ours that people read or that makes what they read."""
    folders = ("gateway", "model_service", "shared", "data", "docs")
    kinds = {".py", ".md", ".jinja", ".json", ".html", ".js"}
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in kinds]
    return [*found, ROOT / "README.md"]


def test_no_text_takes_the_balance_for_money_that_the_customer_has() -> None:
    assert len(texts()) > 100
    said = {
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in texts()
        for found in CREDIT.finditer(path.read_text(encoding="utf-8"))
    }
    assert said == set()


@pytest.mark.parametrize(
    "text", ["Balance left in the account to make purchases", "the balance saved", "money in their account"]
)
def test_the_guard_knows_such_a_text(text: str) -> None:
    assert CREDIT.search(text)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_every_feature_has_a_plain_name_and_a_clause(feature: Feature) -> None:
    assert re.fullmatch(r"[A-Z][a-z0-9 -]+", feature.label)
    assert len(feature.label) <= 40
    assert feature.clause.count("{}") == 1
    assert feature.clause[0].islower()


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_every_feature_says_in_a_plain_sentence_what_it_tells_of_a_customer(feature: Feature) -> None:
    assert re.fullmatch(r"[A-Z][^.]{20,110}\.", feature.plain)
    assert not re.search(r"[A-Z]{2}|_|\b(mean|median|log|trx|frequency|distance|imput)", feature.plain)


def test_a_sentence_for_marketers_says_that_the_balance_is_owed() -> None:
    assert "owes" in BY_NAME["BALANCE"].plain


def test_no_two_features_share_a_plain_name() -> None:
    assert len({f.label.lower() for f in FEATURES}) == len(FEATURES)


def test_a_feature_without_texts_of_its_own_gets_them_from_its_description() -> None:
    plain = Feature("LATE", Kind.COUNT, "Payments that came too late: by a day or more", maximum=9)
    assert (plain.label, plain.clause) == ("Payments that came too late", "payments that came too late: {}")
    assert plain.plain == "Payments that came too late: by a day or more."
