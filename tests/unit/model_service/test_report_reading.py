"""What an analyst finds in the report and the plots: names, order, titles and numbers; not what they look like."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from test_report import Page
from test_report_style import a_drift, a_preview

from model_service.report import document
from model_service.report.comparison_plots import drift, transitions
from model_service.report.figures import Figures, certainty, compare, on_map, silhouettes
from model_service.report.glyphs import drawable, named
from model_service.report.overview import described_source, marks
from model_service.report.plots import PLOTS, Subject, subject_of
from model_service.report.space_plots import axis_ends
from model_service.report.style import file_content, settings
from model_service.report.subject import score_rows
from model_service.store.registry import ModelStore
from model_service.training_jobs.folder import new_record
from model_service.training_jobs.run import _described
from shared.features import BY_NAME, FEATURES
from shared.typography import in_unit

CHINESE, ARABIC, HEBREW = "循环借款人", "المقترضون", "לווים"


def label(name=None, description=None, owner=None, derived_name="Regular shoppers"):
    return {"name": name, "description": description, "owner": owner, "derived_name": derived_name}


@pytest.fixture(scope="module")
def parent(tiny):
    store = ModelStore(tiny.store)
    return store.manifest(store.versions()[0])


@pytest.fixture(scope="module")
def manifest(parent):
    """A child of the tiny model whose segments come in another order."""
    child = copy.deepcopy(parent)
    child["version"], child["parent"] = "20260101T000000Z-0badf00d", parent["version"]
    child["segments"].reverse()
    return child


@pytest.fixture(scope="module")
def figures(tiny, manifest, parent) -> Figures:
    rows = score_rows(manifest, tiny.data)
    return Figures(
        segments=[segment["id"] for segment in manifest["segments"]],
        named=[],
        note="",
        notes=[],
        certainty=certainty(manifest, rows),
        map=on_map(rows),
        silhouette=silhouettes(rows),
        comparison=compare(manifest, rows, parent),
    )


@pytest.fixture(scope="module")
def subject(manifest, figures) -> Subject:
    return subject_of(manifest, figures, {}, "EUR")


@pytest.fixture(scope="module")
def page(tiny, manifest, parent, tmp_path_factory) -> Page:
    folder = tmp_path_factory.mktemp("read")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "PLOTS", [plot for plot in PLOTS if plot.name == "shares"])  # the text matters here
        document.write(folder, manifest, tiny.data, parent, "For the spring campaign")
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def words(figure: Figure) -> str:
    """All that a figure says."""
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


class TestPage:
    def test_begins_with_the_segments_and_ends_with_how_they_were_made(self, page):
        ids = [attributes["id"] for tag, attributes in page.tags if tag == "h2" and "id" in attributes]
        assert ids == ["summary", "segments", "overview", "moves", "confidence", "made", "glossary"]
        made = page.text.index("How the segments were made", page.text.index("Limits"))
        assert page.text.index("SHA-256") > made
        assert page.text.index("Every k tried") > made

    @pytest.mark.parametrize("question", ["Owes most", "Buys most", "Takes most cash", "What to do with them"])
    def test_answers_what_is_asked_first(self, page, question):
        assert page.text.index(question) < page.text.index("Each segment", page.text.index("Owes most"))

    def test_says_of_each_segment_how_sure_it_is_and_what_marks_it(self, page, manifest):
        k = len(manifest["segments"])
        assert page.text.count("How sure: the mean confidence is") == k
        assert page.text.count("What marks it") == k

    def test_says_nothing_marks_a_segment_by_being_like_everybody(self, manifest):
        same = copy.deepcopy(manifest)
        place = same["features"].index("CASH_ADVANCE")
        same["parameters"]["fill"][place] = 0.0
        for segment, mean in zip(same["segments"], (35.0, *[200.0] * 20), strict=False):
            segment["profile"]["CASH_ADVANCE"] |= {"median": 0.0, "mean": mean, "z": -9.0}
            segment["size"] = 10
        k = len(same["segments"])
        all_mean = round((35 + 200 * (k - 1)) / k, 2)
        assert marks(same["segments"][0], same)[0] == (
            f"Cash advances in 12 months: low (mean 35, of all customers {in_unit(all_mean, 'CASH_ADVANCE')})"
        )

    def test_says_whose_segments_these_are_and_why(self, page, manifest):
        assert f"segments of {manifest['rows']} customers in customers.csv" in page.text
        assert "For the spring campaign" in page.text

    def test_fits_on_a_phone(self, page):
        assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
        assert "@media screen and (max-width" in page.text
        inside: list[str] = []
        for tag, attributes in page.tags:
            if tag == "div":
                inside = [attributes.get("class") or ""]
            if tag == "img":
                assert inside == ["scroll"]
        wide = [attributes for tag, attributes in page.tags if tag == "table" and "cards" not in str(attributes)]
        scrolling = [
            attributes for tag, attributes in page.tags if tag == "div" and attributes.get("class") == "scroll"
        ]
        assert len(scrolling) >= len(wide) + len(page.all("img"))

    def test_writes_numbers_in_one_way(self, page):
        shown = page.text.split("Glossary")[1]
        assert re.findall(r"\d %", shown) == []
        assert re.findall(r"(?<![\d.,])\d{5,}(?![\d.])", re.sub(r"\b[0-9a-f]{16,}\b|\d{8}T\d{6}Z", "", shown)) == []

    def test_calls_features_by_plain_names(self, page):
        told = page.text.split("How the segments were made")[1]
        assert [f.name for f in FEATURES if re.search(rf"\b{f.name}\b", told)] == []


NAMING = [p for p in PLOTS if p.named and p.name != "drift"]
"""Those that name segments; the tiny model has too few customers for a drift, which has a test of its own."""


class TestNames:
    @pytest.mark.parametrize("text", ["Grünkunden", "Zwölf € – “VIP”", "Ελλάδα", "Должники", "Nguyễn", "café"])
    def test_that_the_font_has_are_drawn(self, text):
        assert drawable(text)
        assert named("seg-01", text) == f"seg-01 {text}"

    @pytest.mark.parametrize(
        "text", [CHINESE, "優良顧客", "대출자", ARABIC, HEBREW, "ลูกค้า", "ग्राहक", "VIP 🎉", "q\u0323\u0307"]
    )
    def test_that_it_lacks_fall_back_to_the_id(self, text):
        assert not drawable(text)
        assert named("seg-01", text) == "seg-01"

    @given(st.text(max_size=20))
    def test_whatever_they_are_can_be_drawn_without_a_warning(self, text):
        assert drawable(named("seg-01", text))

    @pytest.mark.parametrize("plot", NAMING, ids=lambda p: p.name)
    def test_of_other_scripts_leave_every_picture_whole(self, manifest, figures, plot):
        """The font's missing glyphs are warnings, which tests take for errors."""
        first, second = (segment["id"] for segment in manifest["segments"][:2])
        with settings():
            named_so = {first: label(CHINESE), second: label(ARABIC)}
            figure = plot.figure(subject_of(manifest, figures, named_so))
            file_content(figure, "svg")
        said = words(figure)
        assert first in said
        assert CHINESE not in said
        assert ARABIC not in said

    @pytest.mark.parametrize("plot", NAMING, ids=lambda p: p.name)
    def test_that_people_gave_stand_in_every_picture(self, manifest, figures, plot):
        first = manifest["segments"][0]["id"]
        with settings():
            figure = plot.figure(subject_of(manifest, figures, {first: label("Umbrellas")}))
            assert "Umbrellas" in words(figure)

    def test_that_people_gave_stand_in_what_is_said_of_the_movers(self, figures, manifest):
        preview = copy.deepcopy(figures["comparison"]["preview"])
        preview["transitions"] = np.ones_like(preview["transitions"]).tolist()
        renamed = figures | {"comparison": figures["comparison"] | {"preview": preview}}
        labels = {segment["id"]: label(f"Group {place}") for place, segment in enumerate(manifest["segments"])}
        found = subject_of(manifest, renamed, labels).figures["comparison"]["preview"]
        assert {segment["name"] for segment in found["before"]} == {"Group 0", "Group 1", "Group 2"}
        assert any("(Group 1) loses" in remark for remark in found["remarks"])


class TestPictures:
    @pytest.mark.parametrize("plot", PLOTS, ids=lambda p: p.name)
    def test_have_their_title_inside_plain_names_and_percents_in_one_way(self, subject, plot):
        with settings():
            figure = plot.figure(subject)
            said = words(figure)
        heading = plot.heading(subject)
        assert figure.get_suptitle().replace("\n", " ") == heading.title
        assert heading.sentence in said.replace("\n", " ")
        assert not re.search(r"log1p|standard deviation|η|currency units", said), "words that only statisticians know"
        assert [f.name for f in FEATURES if re.search(rf"\b{f.name}\b", said)] == []
        assert re.findall(r"\d %", said) == []

    @pytest.mark.parametrize(
        ("figure", "title"),
        [
            (lambda: drift(a_drift()), "The customers have changed: retrain"),
            (lambda: transitions(a_preview()), "4 of 26 customers would change their segment"),
        ],
        ids=["drift", "transitions"],
    )
    def test_made_on_request_have_one_too(self, figure, title):
        with settings():
            assert figure().get_suptitle().startswith(title)

    def test_made_on_request_call_features_by_plain_names_too(self):
        found = a_drift()
        found["features"][0]["feature"] = "CASH_ADVANCE"
        with settings():
            said = words(drift(found))
        assert BY_NAME["CASH_ADVANCE"].label in said
        assert "CASH_ADVANCE" not in said

    def test_join_no_composites(self, subject):
        plot = next(p for p in PLOTS if p.name == "composites")
        with settings():
            figure = plot.figure(subject)
        joining = [
            line
            for axes in figure.axes
            for line in axes.get_lines()
            if len(line.get_xdata()) > 2 and line.get_linestyle() != "None"
        ]
        assert joining == []

    def test_draw_no_bar_for_nothing(self):
        found = a_drift()
        found["features"][0] |= {"psi": 0.0, "limit": 0.0}
        found["segment_mix"] |= {"training": {"seg-01": 1.0, "seg-02": 0.0}, "now": {"seg-01": 0.0, "seg-02": 1.0}}
        with settings():
            figure = drift(found)
        bars = [bar for axes in figure.axes for bar in axes.patches]
        assert [round(bar.get_width(), 3) for bar in bars] == [1.0, 1.0]
        marks = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 1]
        assert len(marks) == len(found["features"]) - 1

    @pytest.mark.parametrize(
        ("psi", "written"), [(6.294, "6.294"), (0.01, "0.010"), (0.000342, "<0.001"), (6.7e-05, "<0.001")]
    )
    def test_drift_marks_every_index_and_writes_it_in_one_way(self, psi, written):
        found = a_drift(features=1, segment_mix=a_drift()["segment_mix"] | {"psi": psi})
        found["features"][0]["psi"] = psi
        with settings():
            figure = drift(found)
            said = words(figure).splitlines()
        assert written in said
        assert f"Sizes of the segments: index {written}, limit of chance 0.010, tier severe" in said
        assert len([line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 1]) == 1

    def test_drift_names_the_segments_of_the_mix(self):
        found = a_drift()
        found["segment_mix"]["names"] = {"seg-01": "Umbrellas", "seg-02": CHINESE}
        with settings():
            figure = drift(found)
            assert "seg-01 Umbrellas" in words(figure)
            file_content(figure, "svg")


def axis_ids(axes: Axes, along: str) -> list[str]:
    return [text.get_text().split()[0] for text in getattr(axes, f"get_{along}ticklabels")()]


def mesh_of(figure: Figure) -> QuadMesh:
    return next(c for c in figure.axes[0].collections if isinstance(c, QuadMesh))


class TestTransitions:
    SHUFFLED = a_preview(3, 3, counts=[[5, 900, 95], [10, 0, 990], [1000, 0, 0]]) | {
        "before": [
            {"id": f"seg-0{n}", "name": "N", "status": s} for n, s in ((1, "kept"), (2, "kept"), (7, "retired"))
        ],
        "after": [{"id": f"seg-0{n}", "name": "N", "status": s} for n, s in ((9, "new"), (1, "kept"), (2, "kept"))],
    }

    def test_both_axes_have_one_order(self):
        with settings():
            axes = transitions(self.SHUFFLED).axes[0]
        assert axis_ids(axes, "y") == ["seg-01", "seg-02", "seg-07"]
        assert axis_ids(axes, "x") == ["seg-01", "seg-02", "seg-09"]

    def test_the_counts_follow_their_segments(self):
        with settings():
            figure = transitions(self.SHUFFLED)
        cells = [text.get_text().split("\n")[0] for text in figure.axes[0].texts]
        assert cells == ["900", "95", "5", "·", "990", "10", "·", "·", "1,000"]

    def test_the_colour_is_for_those_who_move(self):
        counts = [[9_700, 300, 0], [0, 9_900, 100], [0, 0, 10_000]]
        with settings():
            mesh = mesh_of(transitions(a_preview(3, 3, counts=counts)))
        shown = np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(3, 3)
        assert np.isnan(np.diag(shown)).all()
        assert mesh.get_clim() == pytest.approx((0.0, 0.03), abs=1e-6)
        assert mesh.cmap.get_under().tolist() == [1.0, 1.0, 1.0, 1.0], "nobody is no colour"
        assert mesh.get_clim()[0] > 0

    def test_nobody_moves(self):
        with settings():
            mesh = mesh_of(transitions(a_preview(2, 2, counts=[[5, 0], [0, 5]])))
        assert mesh.get_clim() == pytest.approx((0.0, 1.0), abs=1e-6)


class TestMap:
    FEATURES = ("PURCHASES", "BALANCE", "CASH_ADVANCE", "TENURE")

    def test_axes_say_in_words_who_is_where(self):
        said = axis_ends({"share": 0.34, "weights": [0.9, -0.8, 0.7, 0.1]}, self.FEATURES)
        assert said == ("owe more", "buy more and draw more cash on credit")

    def test_an_axis_along_which_all_grows_says_who_does_less_at_its_other_end(self):
        said = axis_ends({"share": 0.34, "weights": [0.9, 0.1, 0.2, 0.1]}, self.FEATURES)
        assert said == ("buy less", "buy more, have been customers for longer and draw more cash on credit")

    def test_axes_have_no_numbers_without_a_unit(self, subject):
        plot = next(p for p in PLOTS if p.name == "map")
        with settings():
            axes = plot.figure(subject).axes[0]
        assert not [text for text in (*axes.get_xticklabels(), *axes.get_yticklabels()) if text.get_visible()]


class FakeJob:
    def __init__(self, **said):
        options = {"k_min": 3, "k_max": 8, "seed": 0, "activate": False}
        self.record = new_record("x", "ann", "", options, said.pop("data"), 1, **said)
        self.record["created_at"] = "2026-11-26T23:59:59Z"


class TestSource:
    def test_stored_customers_are_called_so(self, tiny, manifest):
        data = _described(tiny.data, FakeJob(data="the customers stored in the gateway", stored=True))
        assert data.lines is None
        told = described_source(manifest | {"rows": 8950, "data": data.source})
        assert told == "8,950 stored customers, 26 November 2026"

    def test_stored_customers_have_no_lines(self, tiny):
        noted = type(tiny.data)(tiny.data.frame, tiny.data.source, ["line 7: A must be a number", "x"], tiny.data.lines)
        data = _described(noted, FakeJob(data="the customers stored in the gateway", stored=True))
        assert data.notes == ["a stored customer: A must be a number", "x"]

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("march.csv", "march.csv"),
            ("upload.csv", "an uploaded CSV file"),
            ("upload.parquet", "an uploaded Parquet file"),
        ],
    )
    def test_files_are_called_by_their_name_if_it_is_known(self, tiny, manifest, name, told):
        data = _described(tiny.data, FakeJob(data=name))
        assert described_source(manifest | {"data": data.source}) == f"{manifest['rows']} customers in {told}"
        assert data.lines is tiny.data.lines


def test_no_file_of_the_service_is_called_a_file_of_the_analyst(page):
    assert "upload.csv" not in page.text


def test_figures_hold_no_single_customer(figures):
    assert figures["comparison"]["preview"]["customers"] == []
