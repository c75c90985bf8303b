"""The pages of the segments, through fakes: what each shows, to whom, and what is said when something is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from contracts.customers import assignment
from fakes.api_keys import key_of
from fakes.gateway import SEGMENTS, FakeGateway
from fakes.model import DOWN
from support.customers import stored
from support.sessions import browser_of

from gateway.services.clock import now
from gateway.services.errors import StoreUnavailable
from gateway.services.events.log import Memory
from gateway.services.models.segment_snapshots import Snapshot
from gateway.services.principal import Scope

KEY = "csk_000000000007_" + "k" * 43
PAGES = ["/segments", "/segments/seg-01", "/segments/compare", "/segments/seg-01/moves"]


@pytest.fixture
def peopled(gateway: FakeGateway) -> FakeGateway:
    """A gateway with three customers in one segment and one in the other."""
    segments = [assignment(), assignment(), assignment(), assignment("seg-02")]
    gateway.store.insert_many([stored(f"C{n}", segment) for n, segment in enumerate(segments)])
    gateway.count_segments()
    return gateway


def text_of(gateway: FakeGateway, address: str, status: int = 200, key: str | None = None) -> str:
    answer = browser_of(gateway, *([key] if key else [])).get(address)
    assert answer.status_code == status, answer.text
    main = answer.text.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


class TestCards:
    def test_say_who_how_many_how_much_and_what_to_do(self, peopled: FakeGateway) -> None:
        text = text_of(peopled, "/segments")
        assert "Low balance 3 customers (75.0%)" in text
        assert "They are much like the average customer." in text
        assert "Owed on average 100 Owed in total 300 most" in text
        assert "Limit in use 100%" in text
        assert "What to do Call them" in text
        assert text.index("Low balance") < text.index("High balance"), "the largest first"

    def test_say_so_where_there_are_no_customers_yet(self, gateway: FakeGateway) -> None:
        text = text_of(gateway, "/segments")
        assert "No customers are stored yet." in text
        assert "most" not in text

    def test_say_who_waits_for_a_segment(self, peopled: FakeGateway) -> None:
        peopled.store.insert_many([stored("P1", None), stored("P2", assignment("seg-01", "v0"))])
        peopled.count_segments()
        text = text_of(peopled, "/segments")
        assert "1 customer still waits for a segment. 1 still have the segment that an earlier model gave" in text

    def test_say_that_nobody_counts(self, peopled: FakeGateway) -> None:
        peopled.snapshots.ahead = timedelta(hours=1)
        assert "The customers are not being counted at the moment. No worker looks whether" in text_of(
            peopled, "/segments"
        )


class TestOneSegment:
    def test_has_rules_in_words_actions_and_customers(self, peopled: FakeGateway) -> None:
        text = text_of(peopled, "/segments/seg-01")
        assert "Average balance owed above 1,000 Of 100 customers like that, 90 are in this segment; 80 of 100" in text
        assert "Suggested by rule" in text
        assert "Typical: the model is surest of these C2" in text
        assert "3 of 3 are borderline" in text
        assert "A line appears here as soon as" in text

    def test_shows_what_people_have_said_as_text(self, peopled: FakeGateway) -> None:
        said = {
            "name": "<b>Ours</b>",
            "description": "<i>Who</i> & why",
            "owner": "<u>Ann</u>",
            "actions": ["<s>Call</s>"],
        }
        assert peopled.client.patch(f"{SEGMENTS}/seg-01", json=said).status_code == 200
        html = browser_of(peopled).get("/segments/seg-01").text
        for text in ("<b>Ours", "<i>Who", "<u>Ann", "<s>Call"):
            assert text not in html
            assert text.replace("<", "&lt;").replace(">", "&gt;") in html
        text = text_of(peopled, "/segments/seg-01")
        assert "By its profile it would be called “Low balance”" in text
        assert "As edited by people." in text

    def test_warns_of_a_name_that_may_no_longer_fit(self, peopled: FakeGateway) -> None:
        model = peopled.registry.model

        def warning(version: str) -> dict[str, object]:
            found = model(version)
            found["segments"] = [{**each, "name_warning": "Named otherwise."} for each in found["segments"]]
            return found

        peopled.registry.model = warning  # type: ignore[method-assign]
        assert "The name may no longer fit. Named otherwise." in text_of(peopled, "/segments/seg-01")

    @pytest.mark.parametrize(
        ("scopes", "customers", "edit"),
        [
            ([Scope.MODELS_READ], False, False),
            ([Scope.MODELS_READ, Scope.CUSTOMERS_READ], True, False),
            ([Scope.MODELS_READ, Scope.MODELS_MANAGE], False, True),
        ],
    )
    def test_offers_what_the_key_may_do(
        self, peopled: FakeGateway, scopes: list[Scope], customers: bool, edit: bool
    ) -> None:
        peopled.keys.insert(key_of(KEY, scopes))
        text = text_of(peopled, "/segments/seg-01", key=KEY)
        assert ("Some of its customers" in text, "Its customers" in text) == (customers, customers)
        assert ("Edit name" in text) is edit

    def test_of_an_older_version_has_no_rules_and_no_examples(self, peopled: FakeGateway) -> None:
        model = peopled.registry.model

        def old(version: str) -> dict[str, object]:
            found = model(version)
            dropped = {"rules", "typical", "derived_actions"}
            found["segments"] = [{n: v for n, v in s.items() if n not in dropped} for s in found["segments"]]
            return found

        peopled.registry.model = old  # type: ignore[method-assign]
        assert "There are no rules for this segment." in text_of(peopled, "/segments/seg-01")


class TestComparison:
    def test_begins_with_the_largest_and_all(self, peopled: FakeGateway) -> None:
        text = text_of(peopled, "/segments/compare")
        assert "The first value is that of Low balance, the second that of All customers." in text
        assert "Owed, in total 300 400" in text
        assert "Credit limit in use, on average 100% 100%" in text

    def test_is_of_two_segments_or_the_other_way_round(self, peopled: FakeGateway) -> None:
        text = text_of(peopled, "/segments/compare?a=seg-02&b=seg-01")
        assert "Customers 1 3" in text
        assert "The first value is that of All customers" in text_of(peopled, "/segments/compare?a=all&b=seg-02")

    def test_of_one_group_with_itself_says_so(self, peopled: FakeGateway) -> None:
        assert "These are the same customers." in text_of(peopled, "/segments/compare?a=seg-02&b=seg-02")

    @pytest.mark.parametrize(("query", "status"), [("a=seg-99", 404), ("b=%20", 404), ("a=", 422), ("c=1", 200)])
    def test_of_what_is_not_there(self, peopled: FakeGateway, query: str, status: int) -> None:
        text_of(peopled, f"/segments/compare?{query}", status)


class TestMoves:
    def test_are_of_the_period_with_reasons(self, peopled: FakeGateway) -> None:
        peopled.snapshots.keep("test", replace(peopled.count_segments(), as_of=now() - timedelta(days=8)))
        peopled.changes.kept = Memory(0, *2 * [now() - timedelta(days=90)])
        text = text_of(peopled, "/segments/seg-01/moves?period=week")
        assert "Came: 3" in text
        assert "new, or without a segment until then 3 an import" in text
        assert "Went: 0 Nobody went." in text
        page = browser_of(peopled).get("/segments/seg-01/moves?period=week").text
        chosen = re.search(r'class="button primary" href="[^"]*" aria-current="true">([^<]*)', page)
        assert chosen is not None
        assert chosen[1] == "Last 7 days", "it looks chosen"
        assert page.count("button primary") == 1

    def test_are_not_those_of_customers_who_all_came_in_within_the_period(self, peopled: FakeGateway) -> None:
        nobody = Snapshot(now() - timedelta(days=2), {})
        peopled.snapshots.keep("test", nobody)
        peopled.snapshots.keep("test", replace(peopled.count_segments(), as_of=now()))
        peopled.changes.kept = Memory(0, *2 * [now() - timedelta(days=90)])
        text = text_of(peopled, "/segments/seg-01/moves?period=week")
        assert "Came: 0 Nobody came." in text
        assert "when most of the customers had come in" in text

    def test_say_how_far_back_they_are_known(self, peopled: FakeGateway) -> None:
        peopled.snapshots.keep("test", replace(peopled.count_segments(), as_of=now() - timedelta(days=31)))
        assert "which is as far back as changes are known" in text_of(peopled, "/segments/seg-01/moves")
        peopled.changes.kept = Memory(0, *2 * [now() - timedelta(days=90)])
        assert "as far back" not in text_of(peopled, "/segments/seg-01/moves")

    def test_come_later_where_counting_takes_long(self, peopled: FakeGateway) -> None:
        peopled.transitions.takes = 3.0
        page = browser_of(peopled).get("/segments/seg-01/moves?period=week").text
        assert "counting them takes some seconds" in page
        assert 'data-moves="/segments/seg-01/moves?period=week"' in page, "a script asks for them"
        assert 'href="/segments/seg-01/moves?period=week&amp;wait=true"' in page, "and a person can"
        assert "Came:" not in page
        found = browser_of(peopled).get("/segments/seg-01/moves?period=week&wait=true").text
        assert "Came:" in found
        assert "data-moves" not in found

    @pytest.mark.parametrize(
        ("address", "status"), [("/segments/seg-99/moves", 404), ("/segments/seg-01/moves?period=year", 422)]
    )
    def test_of_what_is_not_there(self, peopled: FakeGateway, address: str, status: int) -> None:
        text_of(peopled, address, status)

    def test_say_what_is_wrong_in_the_address(self, peopled: FakeGateway) -> None:
        text = text_of(peopled, "/segments/seg-01/moves?period=year", 422)
        assert "Something in the address of this page is not right: ?period must be one of week, month" in text


class TestFaults:
    def test_a_segment_that_is_not_there(self, peopled: FakeGateway) -> None:
        text = text_of(peopled, "/segments/seg-99", 404)
        assert text.count("There is no segment seg-99 The model in force has no segment with the id seg-99.") == 1
        assert "Customers who are still in it" not in text

    @pytest.mark.parametrize("address", PAGES)
    def test_without_a_description_and_without_the_model_service(self, gateway: FakeGateway, address: str) -> None:
        gateway.model.failure = gateway.registry.failure = DOWN
        text_of(gateway, address, 503)

    @pytest.mark.parametrize("address", PAGES)
    def test_without_the_database(self, peopled: FakeGateway, address: str) -> None:
        browser = browser_of(peopled)
        peopled.snapshots.failure = peopled.transitions.failure = StoreUnavailable("away")
        peopled.changes.failure = StoreUnavailable("away")
        assert browser.get(address).status_code == 503

    def test_while_the_model_service_is_away_the_last_description_is_shown_with_its_age(
        self, peopled: FakeGateway
    ) -> None:
        peopled.model.current = peopled.registry.active or ""
        peopled.services.segments.upkeep.run_once()
        earlier = replace(peopled.descriptions.description, described_at=now() - timedelta(hours=1))
        peopled.descriptions.description = earlier
        peopled.model.failure = peopled.registry.failure = DOWN
        for address in PAGES[:3]:
            text = text_of(peopled, address)
            assert "The model service does not answer." in text
            assert "Low balance" in text
