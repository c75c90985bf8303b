from __future__ import annotations

import re
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot

from model_service.report.comparison_plots import drift, transitions
from model_service.report.figures import silhouettes
from model_service.report.presentation import COLOURS, segment_styles
from model_service.report.space_plots import LABEL_GAP, LABEL_SHAPE, _push
from model_service.report.style import file_content, heat_map, new_figure, settings, wrap
from model_service.report.subject import score_rows
from model_service.store.registry import ModelStore
from tests.conftest import ROOT

ids = st.lists(st.integers(1, 400).map("seg-{:02d}".format), unique=True, max_size=40)


@given(ids)
def test_no_two_segments_look_alike(identities):
    styles = segment_styles(identities)
    assert set(styles) == set(identities)
    assert len(set(styles.values())) == len(identities)
    if len(identities) <= 8:
        assert len({style.colour for style in styles.values()}) == len(identities)


@given(ids, st.randoms())
def test_the_style_depends_on_no_order(identities, random):
    shuffled = random.sample(identities, len(identities))
    assert segment_styles(shuffled) == segment_styles(identities)


def test_a_segment_looks_alike_in_every_version():
    first = segment_styles([f"seg-{n:02d}" for n in range(1, 7)])
    later = segment_styles(["seg-02", "seg-05", "seg-07", "seg-08"])
    assert later["seg-02"] == first["seg-02"]
    assert later["seg-05"] == first["seg-05"]


SHEET = (ROOT / "gateway" / "pages" / "static" / "style.css").read_text(encoding="utf-8")
TONES = re.findall(r"--tone-\d: light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", SHEET)
SEEN_BY = {
    "most": np.eye(3),
    "who lack green": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "who lack red": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "who lack blue": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""How colours look, in linear RGB (Machado and others 2009, severity 1)."""


def test_a_segment_has_the_colour_that_it_has_on_the_pages():
    assert [light for light, _ in TONES] == COLOURS


def in_lab(linear):
    """CIE L*a*b* of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089], 0.0089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN_BY)
@pytest.mark.parametrize("ground", [0, 1], ids=["light", "dark"])
def test_no_two_segments_have_a_colour_that_somebody_cannot_tell_apart(eyes, ground):
    rgb = [np.array(mpl.colors.to_rgb(tone[ground])) for tone in TONES]
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in rgb]
    seen = [in_lab(np.array(SEEN_BY[eyes]) @ c) for c in linear]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 10


@pytest.mark.parametrize("strange", ["", "no number", "seg-00", "seg-99999999999999999999", "x" * 300])
def test_strange_ids_have_a_style(strange):
    assert strange in segment_styles([strange, "seg-01"])


@given(st.text(max_size=300), st.integers(5, 60), st.integers(1, 5))
def test_wrapped_text_keeps_to_its_place(text, width, lines):
    wrapped = wrap(text, width, lines).split("\n")
    assert len(wrapped) <= lines
    assert all(len(line) <= width and line.isprintable() for line in wrapped)


def test_labels_that_are_near_are_pushed_apart():
    labels = np.array([[0.0, 0.0], [3.0, 1.0], [500.0, 0.0]])
    push = _push(labels, labels)
    assert push[0, 0] < 0 < push[1, 0]
    assert (push[2] == 0).all()
    away = np.array([[0.0, 0.0], [LABEL_GAP * LABEL_SHAPE + 1, 0.0]])
    assert (_push(away, away) == 0).all()


def a_drift(features=3, segments=2, **changes):
    tiers = ["none", "detected", "material", "severe"]
    shares = {f"seg-{n:02d}": 1 / segments for n in range(1, segments + 1)}
    return {
        "model_version": "20260101T000000Z-0badf00d",
        "verdict": "retrain",
        "rows": 1000,
        "minimum_rows": 200,
        "as_of": "2026-01-01T00:00:00Z",
        "features": [
            {"feature": f"F{i}", "psi": 0.4 / (i + 1), "limit": 0.02, "bins": 10, "tier": tiers[i % 4]}
            for i in range(features)
        ],
        "segment_mix": {"psi": 0.1, "limit": 0.01, "tier": "severe", "training": shares, "now": shares},
        "distance": None,
        "remarks": ["F0: shifted."],
    } | changes


def a_preview(before=2, after=3, name="Some customers", counts=None):
    segments = [
        {"id": f"seg-{n:02d}", "name": name, "status": "kept" if n <= before else "new"} for n in range(1, after + 1)
    ]
    moved = {
        "customers": 1,
        "share": 0.1,
        "balance": 1.0,
        "balance_share": 0.1,
        "credit_limit": 1.0,
        "credit_limit_share": 0.1,
    }
    return {
        "candidate": "20260202T000000Z-0badf00d",
        "active": "20260101T000000Z-0badf00d",
        "rows": 100,
        "as_of": "2026-01-01T00:00:00Z",
        "moved": moved,
        "before": segments[:before],
        "after": segments,
        "transitions": counts or [[10 * (i == j) + 1 for j in range(after)] for i in range(before)],
        "customers": [],
    }


EXTREME = a_drift(
    features=0,
    segment_mix={"psi": 0.0, "limit": 0.0, "tier": "none", "training": {"": 1e300, "seg-01": 0.0}, "now": {}},
)
EXTREME["features"] = [
    {"feature": "", "psi": psi, "limit": 0.0, "bins": 1, "tier": "none"} for psi in (0.0, 1e300, -1.0)
]


@pytest.mark.parametrize(
    "found",
    [
        a_drift(),
        a_drift(features=0, segment_mix=None, verdict="not_enough_data", rows=0),
        a_drift(features=60, segments=30),
        a_drift(model_version="$\x00</svg>" * 50, remarks=["$\\frac{1$" * 100]),
        EXTREME,
    ],
    ids=["usual", "nobody", "many", "hostile", "extreme"],
)
def test_any_drift_can_be_drawn(found):
    with settings():
        assert file_content(drift(found), "svg").rstrip().endswith(b"</svg>")


@pytest.mark.parametrize(
    "found",
    [
        a_preview(),
        a_preview(1, 1, counts=[[0]]),
        a_preview(20, 25, name="$\x00<b>" + "endless" * 30),
        a_preview(3, 3, name=""),
        a_preview(1, 2, counts=[[10**12, 0]]),
    ],
    ids=["usual", "nobody", "many", "nameless", "extreme"],
)
def test_any_transitions_can_be_drawn(found):
    with settings():
        assert file_content(transitions(found), "svg").rstrip().endswith(b"</svg>")
    assert pyplot.get_fignums() == []


def test_a_cell_is_written_in_ink_that_can_be_read_on_it():
    axes = new_figure(1).subplots()
    heat_map(axes, np.array([[0.0, 1.0]]), [["a", "b"]], mpl.colormaps["Greys"], (0.0, 1.0))
    assert [text.get_color() for text in axes.texts] == ["#1a1a1a", "white"]


def test_rows_of_one_segment_have_no_silhouette(tiny):
    store = ModelStore(tiny.store)
    alone = type(tiny.data)(frame=tiny.data.frame.iloc[:1], source=tiny.data.source, notes=[], lines=tiny.data.lines)
    assert silhouettes(score_rows(store.manifest(store.versions()[0]), alone)) is None
