"""The pages of imports, on fakes: what people read about a file, and that nothing in it becomes markup."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.gateway import FakeGateway
from fakes.model import DOWN
from support.customers import body, stored

from gateway.pages import import_words
from gateway.services.clock import now
from shared import findings
from shared.features import BY_NAME, CUST_ID
from shared.model_contract import CSV

IMPORTS = "/api/v1/imports"
HEADER = ",".join(body())
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
EVIL = "<img src=x onerror=alert(1)>"
OLD = now() - timedelta(days=1)


def line(cust_id: str, **changes: Any) -> str:
    return ",".join(map(str, body(cust_id, **changes).values()))


def sent(gateway: FakeGateway, *lines: str, header: str = HEADER, **query: str) -> str:
    """Import a file; return the text of its page."""
    content = "\n".join([header, *lines, ""])
    answer = gateway.unjudged.post(IMPORTS, query_string=query, data=content, content_type=CSV)
    assert answer.status_code in (201, 409), answer.text
    return shown(gateway, f"/imports/{max(gateway.imports.records)}")


def shown(gateway: FakeGateway, address: str) -> str:
    """Return the text of a page, without tags."""
    answer = gateway.unjudged.get(address, headers=PAGE)
    assert (answer.status_code, answer.mimetype) == (200, "text/html"), answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text.partition("<main")[2]).split())


@pytest.fixture
def filled(gateway: FakeGateway) -> FakeGateway:
    for n in range(100):
        gateway.store.insert_many([{**stored(f"C{n}"), "created_at": OLD, "updated_at": OLD}])
    return gateway


def test_a_receipt_in_words(gateway: FakeGateway) -> None:
    text = sent(gateway, line("A"), line("B", TENURE=13), line("C", BALANCE=900.0), name="crm.csv")
    assert "crm.csv Done, with refused rows Add and update" in text
    assert "New 2 Changed 0 As they are 0 Refused 1" in text
    assert "3 Months as a customer (TENURE) must be at most 12" in text
    assert "Owes clearly more than the credit limit 1 Average balance owed 4" in text
    rest = text.replace("(TENURE)", "")
    assert re.search(rf"\b({'|'.join((CUST_ID, *BY_NAME))})\b", rest) is None, "no names of columns but the file's own"


def test_a_refused_row_is_told_by_the_files_own_names(gateway: FakeGateway) -> None:
    header = HEADER.replace("BALANCE,", "AVG_SALDO,", 1)
    text = sent(gateway, line("A", BALANCE=-1), line(""), line("C"), header=header, columns="BALANCE:AVG_SALDO")
    assert "2 Average balance owed (AVG_SALDO) must be at least 0" in text
    assert f"3 Customer id ({CUST_ID}) is empty" in text
    assert "Only lines and reasons are left" in text


def test_what_is_wrong_with_most_rows_is_said_once(gateway: FakeGateway) -> None:
    commas = [";".join(map(str, body(f"C{n}").values())).replace(".", ",") for n in range(30)]
    text = sent(gateway, *commas, header=HEADER.replace(",", ";"), dry_run="true")
    assert text.count("Numbers in this file have decimal commas; save it with decimal points.") == 1
    assert "No row can be taken." in text
    text = sent(gateway, line("A", TENURE=13), line("B", TENURE=14), line("C"))
    assert "Most rows are refused for the same reason: Months as a customer must be at most 12." in text
    for lines in (
        [line("A", TENURE=13), line("B", TENURE=13), line("C"), line("D")],
        [line("A", TENURE=13), line("B", BALANCE=-1)],
        [line("A", TENURE=13)],
    ):
        assert "same reason" not in sent(gateway, *lines)


def test_a_dry_run_says_who_would_change_segment(filled: FakeGateway) -> None:
    filled.client.post(IMPORTS, data="\n".join([HEADER, line("C1", BALANCE=1.5)]), content_type=CSV)
    text = sent(filled, line("C1", BALANCE=5_000.0), line("N"), dry_run="true")
    assert "1 stored customer would move to another segment" in text
    assert "Would be new 1 Would change 1" in text
    assert "This was a check: nothing has been written." in text
    assert "Which customers these are can be seen after the import" in text


def test_a_receipt_leads_to_the_customers_that_were_written(filled: FakeGateway) -> None:
    sent(filled, line("C1", BALANCE=5_000.0))
    answer = filled.unjudged.get(f"/imports/{max(filled.imports.records)}", headers=PAGE).text
    link = re.search(r'href="(/customers\?updated_at[^"]+)"', answer)
    assert link is not None
    assert "C1 " in shown(filled, link[1].replace("&amp;", "&"))


def test_a_mirror_says_who_is_deleted_and_why_not(filled: FakeGateway) -> None:
    whole = [line(f"C{n}") for n in range(100)]
    text = sent(filled, *whole[20:], mode="mirror", dry_run="true")
    assert "20 of your 100 stored customers are not in the file and would be deleted." in text
    assert "Then each can be restored for 30 days." in text
    text = sent(filled, *whole[20:], mode="mirror")
    assert "Failed" in text
    assert "20 of your 100 stored customers are not in the file, but nobody is deleted" in text
    text = sent(filled, *whole[20:], "?", mode="mirror", dry_run="true")
    assert "1 row has no readable “Customer id”" in text
    text = sent(filled, *whole[2:], mode="mirror")
    assert "2 were deleted. Each can be restored for 30 days ." in text
    listed = shown(filled, "/imports")
    assert "Refused Deleted" in listed
    assert "Make equal to the file Done 0 0 0 2" in listed
    assert "No stored customer is missing" in sent(filled, *whole[2:], mode="mirror", dry_run="true")


def test_nothing_of_a_file_becomes_markup(gateway: FakeGateway) -> None:
    name = EVIL.replace(",", "")
    header = f"{HEADER.replace('TENURE', name + ' tenure')},{name}"
    sent(
        gateway,
        line("A") + ",x",
        line("B", BALANCE=-1) + ",x",
        header=header,
        columns=f"TENURE:{name} tenure",
        name=EVIL,
    )
    for address in ("/imports", f"/imports/{max(gateway.imports.records)}"):
        answer = gateway.unjudged.get(address, headers=PAGE).text
        assert "<img" not in answer
        assert "&lt;img src=x" in answer


def test_the_list_goes_on(gateway: FakeGateway) -> None:
    assert "None yet." in shown(gateway, "/imports")
    for n in range(21):
        sent(gateway, line("A"), name=f"file {n}.csv")
    answer = gateway.unjudged.get("/imports", headers=PAGE).text
    assert ("file 20.csv" in answer, "file 0.csv" in answer) == (True, False)
    following = re.search(r'rel="next" href="([^"]+)"', answer)
    assert following is not None
    assert "file 0.csv" in shown(gateway, following[1])


def test_while_the_model_service_is_away(gateway: FakeGateway) -> None:
    gateway.model.failure = DOWN
    text = sent(gateway, line("A"))
    assert "1 of them had no segment when they were stored" in text


def test_without_the_model_service_nobody_is_said_to_stay(gateway: FakeGateway) -> None:
    gateway.store.insert_many([stored("C1", assignment())])
    gateway.model.failure = DOWN
    text = sent(gateway, line("C1", BALANCE=5_000.0), dry_run="true")
    assert "It is not known who would move to another segment" in text
    assert "Of 1 it is not known, because the model could not be asked." in text


def test_an_unknown_import_is_no_page(gateway: FakeGateway) -> None:
    assert gateway.unjudged.get("/imports/nothing", headers=PAGE).status_code == 404
    assert gateway.unjudged.get("/imports?cursor=x", headers=PAGE).status_code == 422


def test_every_kind_of_warning_has_its_words() -> None:
    sources = (Path(findings.__file__), *(Path(findings.__file__).parent / "customer_files").glob("*.py"))
    text = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    found = set(re.findall(r'code="(\w+)"', text)) | {rule.code for rule in findings._ALL_RULES}
    assert found - import_words.WARNINGS.keys() == set()
    assert all(re.search(r"[A-Z]{2}_", words) is None for words in import_words.WARNINGS.values())
