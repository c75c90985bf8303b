"""Reports and pictures over HTTP."""

from __future__ import annotations

import asyncio
import shutil
import sys
from xml.etree import ElementTree

import orjson
import psutil
import pytest
from asgi_client import Answer, AsgiClient, assert_problem
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from model_customers import TINY_K
from registry_changes import only_version
from test_report_style import a_drift, a_preview

from model_service.api import plots as plots_api
from model_service.api.plots import POLICY
from model_service.app import create_app
from model_service.report import document
from model_service.settings import Settings
from model_service.store.registry import ModelStore
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, train_version
from shared.features import CUST_ID
from shared.model_contract import ACTIVE, ERASURES, MODELS, PLOTS, SEGMENTS

PAGE, SVG, PNG = b"<!DOCTYPE html><p>report</p>", b"<svg/>", b"\x89PNG"
JSON = {"content-type": "application/json"}


@pytest.fixture
def version(store) -> str:
    """A stored version with a report and one picture."""
    name = only_version(store)
    (store.directory / name / "report.html").write_bytes(PAGE)
    plots = store.directory / name / "plots"
    plots.mkdir()
    (plots / "elbow.svg").write_bytes(SVG)
    (plots / "elbow.png").write_bytes(PNG)
    (plots / "unlisted.svg").write_bytes(SVG)
    (plots / "index.json").write_bytes(orjson.dumps([{"name": "elbow", "title": "Scores"}]))
    return name


@pytest.fixture
def service(connect, store, version) -> AsgiClient:
    return connect(model_store=store.directory)


def assert_guarded(answer: Answer) -> None:
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_report_loads_nothing_and_never_changes(service, version):
    answer = service.get(f"{MODELS}/{version}/report")
    assert (answer.status, answer.body) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert_guarded(answer)


def test_the_active_one_may_be_another_tomorrow(service, version):
    by_name, active = (service.get(f"{MODELS}/{v}/report") for v in (version, ACTIVE))
    assert active.body == by_name.body
    assert active.headers["etag"] == by_name.headers["etag"]
    assert active.headers["cache-control"] == "private, no-cache"


def test_pictures_are_listed_with_addresses_that_last(service, version):
    base = f"{MODELS}/{version}/plots/elbow"
    expected = [{"name": "elbow", "title": "Scores", "caption": "", "svg": f"{base}.svg", "png": f"{base}.png"}]
    for asked in (version, ACTIVE):
        assert service.get(f"{MODELS}/{asked}/plots").json() == {"items": expected}
    assert service.get(expected[0]["svg"]).status == 200


@pytest.mark.parametrize(("kind", "media_type", "content"), [("svg", "image/svg+xml", SVG), ("png", "image/png", PNG)])
def test_one_picture(service, version, kind, media_type, content):
    answer = service.get(f"{MODELS}/{version}/plots/elbow.{kind}")
    assert (answer.status, answer.body) == (200, content)
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert_guarded(answer)


@pytest.mark.parametrize("path", ["report", "plots/elbow.svg"])
def test_who_has_it_already_is_told_so(service, version, path):
    address = f"{MODELS}/{version}/{path}"
    tag = service.get(address).headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = service.get(address, if_none_match=known)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    for other in ('"other"', tag.strip('"'), ""):
        assert service.get(address, if_none_match=other).status == 200


def test_two_files_never_share_a_tag(service, version):
    paths = ["report", "plots/elbow.svg", "plots/elbow.png"]
    assert len({service.get(f"{MODELS}/{version}/{path}").headers["etag"] for path in paths}) == 3


@pytest.mark.parametrize(
    "file",
    [
        "moon.svg",
        "elbow.pdf",
        "elbow",
        "elbow.",
        ".svg",
        "elbow.SVG",
        "unlisted.svg",
        "index.json",
        "..",
        "elbow.svg.png",
    ],
)
def test_only_what_is_listed_is_served(service, version, file):
    assert_problem(service.get(f"{MODELS}/{version}/plots/{file}"), 404, "plot_not_found")


@tries(max_examples=30)
@given(file=st.text(st.sampled_from("./\\%2eelbow\x00é"), min_size=1, max_size=12).map(lambda text: text + ".svg"))
def test_no_name_leads_out_of_the_folder(tiny_service, file):
    answer = tiny_service.get(f"{MODELS}/{ACTIVE}/plots/{file}")
    assert answer.status == 404


@pytest.fixture(scope="module")
def tiny_service(tiny, tmp_path_factory):
    directory = tmp_path_factory.mktemp("served") / "models"
    shutil.copytree(tiny.store, directory)
    (version,) = (p for p in directory.iterdir() if p.is_dir() and not p.name.startswith("."))
    (version / "plots").mkdir()
    (version / "plots" / "index.json").write_bytes(b"[]")
    (version / "plots" / "elbow.svg").write_bytes(SVG)
    with AsgiClient(create_app(Settings(model_store=directory))) as client:
        yield client


@pytest.mark.parametrize("path", ["report", "plots", "plots/elbow.svg"])
def test_a_version_from_before_there_were_reports(client, path):
    assert_problem(client.get(f"{MODELS}/{ACTIVE}/{path}"), 404, "report_not_found")


@pytest.mark.parametrize("path", ["report", "plots", "plots/elbow.svg"])
@pytest.mark.parametrize("unknown", ["20990101T000000Z-00000000", "nothing", "%2e%2e", ".trainings"])
def test_unknown_versions(service, unknown, path):
    assert_problem(service.get(f"{MODELS}/{unknown}/{path}"), 404, "version_not_found")


@pytest.mark.parametrize("path", ["report", "plots"])
def test_without_a_model_nothing_is_active(connect, path):
    assert_problem(connect().get(f"{MODELS}/{ACTIVE}/{path}"), 503, "model_not_loaded")


@pytest.mark.parametrize("index", [b"", b"{", b"{}x", b'[{"name": "elbow"}]', b"[1]", b'{"name": 1}', b"null"])
def test_a_damaged_list_of_pictures(service, store, version, index):
    (store.directory / version / "plots" / "index.json").write_bytes(index)
    assert_problem(service.get(f"{MODELS}/{version}/plots"), 409, "artefact_damaged")
    assert_problem(service.get(f"{MODELS}/{version}/plots/elbow.svg"), 409, "artefact_damaged")
    assert service.get(f"{MODELS}/{version}/report").status == 200


def test_a_picture_that_cannot_be_read(service, store, version):
    file = store.directory / version / "plots" / "elbow.svg"
    file.unlink()
    assert_problem(service.get(f"{MODELS}/{version}/plots/elbow.svg"), 404, "report_not_found")
    file.mkdir()
    assert_problem(service.get(f"{MODELS}/{version}/plots/elbow.svg"), 409, "artefact_damaged")


@pytest.mark.usefixtures("few_refits")
def test_what_training_draws_is_served(connect, store, tiny, monkeypatch):
    monkeypatch.setattr(document, "PLOTS", [p for p in document.PLOTS if p.name in {"shares", "transitions"}])
    trained = train_version(store, tiny.data, Options(ks=(TINY_K,), seed=1), NoProgress(), document.write)
    service = connect(model_store=store.directory)
    base = f"{MODELS}/{trained['version']}"
    assert trained["version"] in service.get(f"{base}/report").body.decode()
    plots = service.get(f"{base}/plots").json()["items"]
    assert [plot["name"] for plot in plots] == ["shares", "transitions"]
    assert all(service.get(plot[kind]).status == 200 for plot in plots for kind in ("svg", "png"))


def test_drift_is_drawn_by_another_process(client):
    answer = client.post(f"{PLOTS}/drift.svg", a_drift())
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].partition(";")[0] == "image/svg+xml"
    assert answer.headers["cache-control"] == "no-store"
    assert_guarded(answer)
    assert ElementTree.fromstring(answer.body).tag.endswith("}svg")


def test_transitions_are_drawn_by_another_process(client):
    answer = client.post(f"{PLOTS}/transitions.png", a_preview(name="<b>$1$</b>"))
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "image/png"
    assert answer.body.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "file", ["elbow.svg", "drift.pdf", "drift", "transitions.", "preview.svg", ".png", "drift.svg.png"]
)
def test_nothing_else_is_drawn(client, file):
    assert_problem(client.post(f"{PLOTS}/{file}", a_drift()), 404, "plot_not_found")


@pytest.fixture
def no_process(monkeypatch):
    """Fail if a drawing is started all the same."""
    monkeypatch.setattr(plots_api, "_program", ("/nonexistent/program",))


LACKING = [f"/features/0/{member}" for member in ("limit", "bins", "tier")]


@pytest.mark.parametrize(
    ("file", "body", "pointers"),
    [
        ("drift.svg", [], [""]),
        ("drift.svg", a_drift(rows="1"), ["/rows"]),
        ("drift.svg", a_drift(verdict="bad"), ["/verdict"]),
        ("drift.svg", {k: v for k, v in a_drift().items() if k != "remarks"}, ["/remarks"]),
        ("drift.svg", a_drift(features=101), ["/features"]),
        ("drift.svg", a_drift() | {"features": [{"feature": "F", "psi": 0.1}]}, LACKING),
        ("transitions.svg", a_preview(counts=[[1, 2, 3]]), ["/transitions"]),
        ("transitions.svg", a_preview(counts=[[1, 2], [1, 2]]), ["/transitions"]),
        ("transitions.svg", a_preview(counts=[[1, 2, -3], [1, 2, 3]]), ["/transitions"]),
        ("transitions.svg", a_preview(counts=[[1, 2, 10**13], [1, 2, 3]]), ["/transitions"]),
        ("transitions.svg", a_preview(counts=[[1, 2, 0.5], [1, 2, 3]]), ["/transitions/0/2"]),
        ("transitions.svg", a_preview(1, 101), ["/after"]),
        ("transitions.svg", a_preview(0, 0) | {"transitions": []}, ["/transitions"]),
        ("transitions.svg", a_drift(), None),
    ],
)
def test_what_cannot_be_drawn_is_refused_before(client, no_process, file, body, pointers):
    answer = client.post(f"{PLOTS}/{file}", body)
    if pointers is None:
        assert (answer.status, answer.json()["code"]) == (422, "validation_failed")
    else:
        assert_problem(answer, 422, "validation_failed", pointers)


def test_bodies_that_are_no_json(client, no_process):
    path = f"{PLOTS}/drift.svg"
    assert_problem(client.request("POST", path, b"{", JSON), 400, "malformed_json")
    assert_problem(client.request("POST", path, b'{"rows": NaN}', JSON), 400, "malformed_json")
    assert_problem(client.request("POST", path, b"{}", {"content-type": "text/csv"}), 415, "unsupported_media_type")
    assert_problem(client.request("POST", path, [b" " * 600_000] * 2, JSON), 413, "body_too_large")


@pytest.mark.parametrize(
    "program", ["import sys; sys.exit('secret of the house')", "print(end='')", "import os; os.kill(os.getpid(), 9)"]
)
def test_a_drawing_that_fails(client, monkeypatch, caplog, program):
    monkeypatch.setattr(plots_api, "_program", (sys.executable, "-c", program))
    answer = client.post(f"{PLOTS}/drift.svg", a_drift())
    assert_problem(answer, 500, "drawing_failed")
    assert b"secret" not in answer.body
    assert "drawing failed" in caplog.text


def test_a_drawing_that_takes_too_long_is_ended(client, monkeypatch):
    monkeypatch.setattr(plots_api, "_program", (sys.executable, "-c", "import time; time.sleep(600)"))
    monkeypatch.setattr(plots_api, "TIMEOUT_SECONDS", 0.1)
    assert_problem(client.post(f"{PLOTS}/drift.svg", a_drift()), 500, "drawing_failed")
    assert not [child for child in psutil.Process().children() if "time.sleep(600)" in " ".join(child.cmdline())]


def test_more_than_a_few_drawings_are_turned_away(connect, tiny, monkeypatch):
    monkeypatch.setattr(plots_api, "MAX_CONCURRENT", 0)
    monkeypatch.setattr(plots_api, "MAX_WAITING", 0)
    answer = connect(model_store=tiny.store).post(f"{PLOTS}/drift.svg", a_drift())
    assert_problem(answer, 503, "analysis_busy")
    assert int(answer.headers["retry-after"]) > 0


def test_those_that_come_together_wait_for_each_other(monkeypatch):
    monkeypatch.setattr(plots_api, "_program", (sys.executable, "-c", "print('picture', end='')"))

    async def all_at_once() -> list[bytes]:
        drawing = plots_api.Drawing()
        body = orjson.dumps(a_drift())
        return await asyncio.gather(*(drawing.draw("drift", "svg", body) for _ in range(6)))

    assert asyncio.run(all_at_once()) == [b"picture"] * 6


def test_a_failed_drawing_makes_room_for_the_next(connect, tiny, monkeypatch):
    monkeypatch.setattr(plots_api, "MAX_CONCURRENT", 1)
    client = connect(model_store=tiny.store)
    monkeypatch.setattr(plots_api, "_program", (sys.executable, "-c", "print('picture', end='')"))
    assert_problem(client.post(f"{PLOTS}/drift.svg", []), 422, "validation_failed", [""])
    monkeypatch.setattr(plots_api, "_program", (sys.executable, "-c", "raise SystemExit(1)"))
    assert_problem(client.post(f"{PLOTS}/drift.svg", a_drift()), 500, "drawing_failed")
    monkeypatch.setattr(plots_api, "_program", (sys.executable, "-c", "print('picture', end='')"))
    assert client.post(f"{PLOTS}/drift.svg", a_drift()).body == b"picture"


def test_the_openapi_text_describes_pictures(client):
    paths = client.get("/openapi.json").json()["paths"]
    report = paths[f"{MODELS}/{{version}}/report"]["get"]
    assert set(report["responses"]["200"]["content"]) == {"text/html"}
    assert {"304", "404", "409", "503"} < set(report["responses"])
    drawn = paths[f"{PLOTS}/{{file}}"]["post"]
    assert set(drawn["responses"]["200"]["content"]) == {"image/svg+xml", "image/png"}
    assert len(drawn["requestBody"]["content"]["application/json"]["schema"]["oneOf"]) == 2


@pytest.fixture(scope="module")
def drawn(tiny, tmp_path_factory):
    """A copy of the tiny store whose version has its report and some plots, with a note."""
    directory = tmp_path_factory.mktemp("drawn") / "models"
    shutil.copytree(tiny.store, directory)
    store = ModelStore(directory)
    (version,) = store.versions()
    few = {"shares", "amounts", "elbow", "reliability"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "PLOTS", [plot for plot in document.PLOTS if plot.name in few])
        document.write(store.path(version), store.manifest(version), tiny.data, None, "asked for by C77")
    return store


@pytest.fixture
def renaming(drawn, connect, tmp_path):
    shutil.copytree(drawn.directory, tmp_path / "models")
    return connect(model_store=tmp_path / "models")


def rename(service, **label) -> str:
    segment = service.get(f"{MODELS}/{ACTIVE}").json()["segments"][0]["id"]
    assert service.request("PATCH", f"{SEGMENTS}/{segment}", orjson.dumps(label), JSON).status == 200
    return segment


def test_a_renamed_segment_carries_its_name_in_the_report(renaming):
    address = f"{MODELS}/{ACTIVE}/report"
    before = renaming.get(address)
    assert b"Umbrella people" not in before.body
    rename(
        renaming,
        name="Umbrella people",
        description="Buy when it rains",
        owner="Retail",
        actions=["Send a weather report"],
    )
    known = before.headers["etag"]
    after = renaming.get(address, if_none_match=known)
    assert after.status == 200, after.body
    text = after.body.decode()
    assert text.count("Umbrella people") > 5
    assert "Buy when it rains" in text
    assert "Owner: Retail" in text
    assert "Send a weather report" in text
    assert "asked for by C77" in text
    assert after.headers["etag"] != known
    assert renaming.get(address, if_none_match=after.headers["etag"]).status == 304
    assert_guarded(after)
    assert renaming.post(ERASURES, {CUST_ID: "C77"}).json() == {"erased": 1}
    assert b"C77" not in renaming.get(address).body, "nor in what is drawn again"


def test_the_report_is_in_the_currency_of_now(renaming, connect, tmp_path):
    """Though the version was trained when there was none."""
    address = f"{MODELS}/{ACTIVE}/report"
    before = renaming.get(address)
    assert "€" not in before.body.decode()
    after = connect(model_store=tmp_path / "models", currency="EUR").get(address, if_none_match=before.headers["etag"])
    assert after.status == 200, after.body
    assert "with €" in after.body.decode()
    assert after.headers["etag"] != before.headers["etag"]


def test_names_that_people_take_back_leave_the_report_as_it_was(renaming):
    address = f"{MODELS}/{ACTIVE}/report"
    before = renaming.get(address)
    rename(renaming, name="Umbrella people")
    rename(renaming, name=None)
    after = renaming.get(address)
    assert (after.body, after.headers["etag"]) == (before.body, before.headers["etag"])


def test_a_renamed_segment_carries_its_name_in_plots_in_every_format_and_is_drawn_once(renaming, monkeypatch):
    addresses = [f"{MODELS}/{ACTIVE}/plots/shares.{kind}" for kind in ("svg", "png")]
    before = [renaming.get(address) for address in addresses]
    rename(renaming, name="Umbrella people")
    for address, old in zip(addresses, before, strict=True):
        new = renaming.get(address, if_none_match=old.headers["etag"])
        assert new.status == 200, new.body
        assert new.body != old.body
        assert new.headers["content-type"] == old.headers["content-type"]
    monkeypatch.setattr(plots_api, "_again", ("/nonexistent/program",))
    assert renaming.get(address).body == new.body


def test_what_names_no_segment_or_shows_no_description_is_not_drawn_again(renaming, no_drawing):
    addresses = [f"{MODELS}/{ACTIVE}/plots/{name}.svg" for name in ("elbow", "reliability")]
    before = [renaming.get(address).headers["etag"] for address in addresses]
    rename(renaming, name="Umbrella people")
    assert [renaming.get(address).headers["etag"] for address in addresses] == before
    rename(renaming, name=None, description="Buy when it rains", actions=["Send a weather report"])
    assert renaming.get(f"{MODELS}/{ACTIVE}/plots/shares.svg").status == 200


def test_files_that_show_names_may_change_and_the_others_may_not(renaming, drawn):
    (version,) = drawn.versions()
    for file, lasting in (("report", False), ("plots/shares.svg", False), ("plots/elbow.svg", True)):
        caching = renaming.get(f"{MODELS}/{version}/{file}").headers["cache-control"]
        assert ("immutable" in caching) is lasting, file


@pytest.fixture
def no_drawing(monkeypatch):
    """Fail if anything is drawn again all the same."""
    monkeypatch.setattr(plots_api, "_again", ("/nonexistent/program",))


def test_while_too_much_is_drawn_renamed_ones_are_asked_for_later(renaming, monkeypatch, connect, tmp_path):
    rename(renaming, name="Umbrella people")
    monkeypatch.setattr(plots_api, "MAX_CONCURRENT", 0)
    monkeypatch.setattr(plots_api, "QUEUE_SECONDS", 0.01)
    busy = connect(model_store=tmp_path / "models")
    answer = busy.get(f"{MODELS}/{ACTIVE}/report")
    assert_problem(answer, 503, "analysis_busy")
    assert int(answer.headers["retry-after"]) > 0


def test_a_drawing_of_names_that_fails_says_so(renaming, monkeypatch):
    rename(renaming, name="Umbrella people")
    monkeypatch.setattr(plots_api, "_again", (sys.executable, "-c", "import sys; sys.exit('no')"))
    assert_problem(renaming.get(f"{MODELS}/{ACTIVE}/report"), 500, "drawing_failed")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"named": []}'])
def test_damaged_figures_are_said(renaming, drawn, tmp_path, content):
    (version,) = drawn.versions()
    (tmp_path / "models" / version / "plots" / "figures.json").write_bytes(content)
    assert_problem(renaming.get(f"{MODELS}/{version}/report"), 409, "artefact_damaged")


def test_an_erased_customer_is_erased_from_the_note(renaming, drawn):
    (version,) = drawn.versions()
    address = f"{MODELS}/{version}/report"
    before = renaming.get(address)
    assert b"asked for by C77" in before.body
    assert renaming.post(ERASURES, {CUST_ID: "C77"}).json() == {"erased": 1}
    after = renaming.get(address, if_none_match=before.headers["etag"])
    assert (after.status, b"C77" in after.body, b"asked for by [erased]" in after.body) == (200, False, True)
    assert renaming.post(ERASURES, {CUST_ID: "C77"}).json() == {"erased": 0}
