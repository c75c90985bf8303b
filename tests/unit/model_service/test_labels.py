from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from registry_changes import copy_version, edit_manifest, only_version

from model_service.store.description import describe_version
from model_service.store.errors import LabelChanged, LabelsDamaged, NameTaken, SegmentNotFound, StoreNotWritable
from model_service.store.labelling import label_of, labels_in_use, relabel
from model_service.store.labels import LabelPatch, name_key
from model_service.store.registry import LABELS_FILE, ModelStore
from shared.model_contract import Label


def derived(store, segment, version=None):
    segments = store.manifest(version or store.versions()[0])["segments"]
    return next(s["derived_name"] for s in segments if s["id"] == segment)


def change_segment(store, version, identity, **changes):
    segments = store.manifest(version)["segments"]
    edit_manifest(store, version, segments=[s | changes if s["id"] == identity else s for s in segments])


def described(store, version, identity):
    return next(s for s in describe_version(store, version)["segments"] if s["id"] == identity)


def test_a_segment_without_a_label_has_an_empty_one(store):
    label = label_of(store, "seg-01")
    assert set(label) == set(Label.__annotations__)
    assert {name for name, value in label.items() if value is not None} == {"derived_name"}
    assert label["derived_name"] == derived(store, "seg-01")


def test_a_patch_changes_what_it_names_and_nothing_else(store):
    relabel(store, "seg-01", LabelPatch(name=" The quiet ones ", description="Two\nlines", owner="Ann", by="ben"))
    label = relabel(store, "seg-01", LabelPatch(owner="Cleo", description=None))
    assert (label["name"], label["description"], label["owner"]) == ("The quiet ones", None, "Cleo")
    assert label["changed_by"] == "unknown"
    assert label == label_of(store, "seg-01") == ModelStore(store.directory).labels.read()["seg-01"]


def test_names_may_have_what_people_paste(store):
    for name in ("Café au lait", "高额 🛒\ufe0f", "O'Neil & Söhne <b>", "7", "Segment 7"):
        assert relabel(store, "seg-01", LabelPatch(name=name))["name"] == name


def test_runs_of_white_space_in_a_name_become_one_space():
    assert LabelPatch(name=" The \u00a0 quiet\u3000ones ").changes() == {"name": "The quiet ones"}


def test_an_empty_patch_changes_nothing(store):
    before = relabel(store, "seg-01", LabelPatch(name="X", by="ben"))
    assert relabel(store, "seg-01", LabelPatch(by="ann")) == before
    relabel(store, "seg-02", LabelPatch())
    assert set(store.labels.read()) == {"seg-01"}


def test_a_cleared_name_gives_way_to_the_one_made_by_rule(store):
    version = only_version(store)
    own = described(store, version, "seg-01")["name"]
    relabel(store, "seg-01", LabelPatch(name="X"))
    assert described(store, version, "seg-01")["name"] == "X"
    relabel(store, "seg-01", LabelPatch(name=None))
    assert described(store, version, "seg-01")["name"] == own


def test_names_follow_the_id_into_every_version(store):
    relabel(store, "seg-01", LabelPatch(name="The quiet ones", description="D", owner="Ann"))
    segment = described(store, copy_version(store), "seg-01")
    assert (segment["name"], segment["description"], segment["owner"]) == ("The quiet ones", "D", "Ann")
    assert segment["name_warning"] is None


def test_a_name_that_no_longer_fits_is_warned_of_until_it_is_confirmed(store):
    relabel(store, "seg-01", LabelPatch(name="The quiet ones"))
    second, before = copy_version(store), derived(store, "seg-01")
    change_segment(store, second, "seg-01", derived_name="Loud customers")
    warning = described(store, second, "seg-01")["name_warning"]
    assert all(part in warning for part in ("The quiet ones", before, "Loud customers"))
    assert described(store, store.versions()[0], "seg-01")["name_warning"] is None
    store.activate(second)
    relabel(store, "seg-01", LabelPatch(owner="Ann"))
    assert described(store, second, "seg-01")["name_warning"], "another owner does not confirm the name"
    relabel(store, "seg-01", LabelPatch(name="The quiet ones"))
    assert described(store, second, "seg-01")["name_warning"] is None


def test_what_people_want_to_be_done_stands_before_what_follows_by_rule(store):
    version = only_version(store)
    by_rule = described(store, version, "seg-01")["actions"]
    assert by_rule
    for wanted in (["Call them", "Write to them"], []):
        relabel(store, "seg-01", LabelPatch(actions=wanted))
        segment = described(store, version, "seg-01")
        assert (segment["actions"], segment["derived_actions"]) == (wanted, by_rule)
    relabel(store, "seg-01", LabelPatch(actions=None))
    assert described(store, version, "seg-01")["actions"] == by_rule


def test_labels_from_before_there_were_actions_are_read_and_written_so(store):
    relabel(store, "seg-01", LabelPatch(name="X"))
    assert b"actions" not in store.labels.path.read_bytes()
    assert label_of(store, "seg-01")["actions"] is None
    relabel(store, "seg-01", LabelPatch(actions=["Call them"]))
    assert store.labels.read()["seg-01"]["actions"] == ["Call them"]


def test_a_label_that_somebody_has_changed_meanwhile_is_not_overwritten(store):
    first = relabel(store, "seg-01", LabelPatch(owner="Ann", if_labelled_at=None, by="ann"))
    for known in (None, "2026-01-01T00:00:00Z"):
        with pytest.raises(LabelChanged, match="changed by ann"):
            relabel(store, "seg-01", LabelPatch(owner="Ben", if_labelled_at=known))
    second = relabel(store, "seg-01", LabelPatch(owner="Ben", if_labelled_at=first["changed_at"]))
    assert second["changed_at"] > first["changed_at"]
    assert described(store, only_version(store), "seg-01")["labelled_at"] == second["changed_at"]
    with pytest.raises(LabelChanged, match="no label"):
        relabel(store, "seg-02", LabelPatch(owner="Ben", if_labelled_at=first["changed_at"]))


def test_a_description_alone_warns_of_nothing(store):
    relabel(store, "seg-01", LabelPatch(description="D"))
    second = copy_version(store)
    change_segment(store, second, "seg-01", derived_name="Loud customers")
    assert described(store, second, "seg-01")["name_warning"] is None


def test_the_list_has_the_active_segments_and_all_that_have_a_label(store):
    second = copy_version(store)
    change_segment(store, second, "seg-02", id="seg-09")
    relabel(store, "seg-09", LabelPatch(name="X"))
    assert list(labels_in_use(store)) == ["seg-01", "seg-02", "seg-03", "seg-09"]


@pytest.mark.parametrize("segment", ["seg-99", "", "SEG-01", "../labels"])
def test_a_segment_that_no_version_has_is_not_found(store, segment):
    for act in (lambda: label_of(store, segment), lambda: relabel(store, segment, LabelPatch(name="X"))):
        with pytest.raises(SegmentNotFound):
            act()
    assert not (store.directory / LABELS_FILE).exists()


def test_damaged_versions_do_not_hide_a_segment(store):
    second, third = copy_version(store), copy_version(store)
    edit_manifest(store, second, segments="none")
    (store.path(third) / "manifest.json").write_bytes(b"{")
    assert label_of(store, "seg-01")["derived_name"]


def test_a_name_in_use_is_refused(store):
    other = described(store, only_version(store), "seg-02")["name"]
    relabel(store, "seg-03", LabelPatch(name="Straße"))
    for name in (other, other.upper(), "STRASSE", "ｓｔｒａßｅ"):
        with pytest.raises(NameTaken):
            relabel(store, "seg-01", LabelPatch(name=name))
    relabel(store, "seg-02", LabelPatch(name="X"))
    with pytest.raises(NameTaken, match="seg-02"):
        relabel(store, "seg-01", LabelPatch(name=other))
    assert label_of(store, "seg-01")["name"] is None


@pytest.mark.parametrize(
    "alike", ["Pay\u2011day  ones", "PAY\u2013DAY ONES", "Pay-day\u2800 ones", "Pay-day ones\u3164\ufe0f"]
)
def test_names_that_look_alike_are_one(store, alike):
    relabel(store, "seg-01", LabelPatch(name="Pay-day ones"))
    with pytest.raises(NameTaken, match="seg-01"):
        relabel(store, "seg-02", LabelPatch(name=alike))


def test_format_characters_count_for_nothing_when_names_are_compared():
    assert name_key("Pay\u00ad-day\u200b") == name_key("pay-day")


def test_a_name_cannot_be_cleared_while_the_one_made_by_rule_is_another_s(store):
    relabel(store, "seg-01", LabelPatch(name="X"))
    second = copy_version(store)
    change_segment(store, second, "seg-01", name="Newcomers", derived_name="Newcomers")
    relabel(store, "seg-02", LabelPatch(name="Newcomers"))
    store.activate(second)
    with pytest.raises(NameTaken, match="seg-02"):
        relabel(store, "seg-01", LabelPatch(name=None, owner="Ann"))
    assert relabel(store, "seg-01", LabelPatch(owner="Ann"))["name"] == "X"
    relabel(store, "seg-02", LabelPatch(name=None))
    assert relabel(store, "seg-01", LabelPatch(name=None))["name"] is None


def test_a_segment_may_keep_its_own_name(store):
    own = described(store, only_version(store), "seg-01")["name"]
    assert relabel(store, "seg-01", LabelPatch(name=own))["name"] == own
    assert relabel(store, "seg-01", LabelPatch(name=own.upper()))["name"] == own.upper()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"seg-01": 1}',
        b'{"seg-01": {}}',
        orjson.dumps({"seg-01": dict.fromkeys(Label.__annotations__, 5)}),
        orjson.dumps({"seg-01": dict.fromkeys(Label.__annotations__) | {"more": "x"}}),
    ],
)
def test_damaged_labels_are_never_overwritten_and_hide_no_model(store, content):
    (store.directory / LABELS_FILE).write_bytes(content)
    for act in (
        lambda: relabel(store, "seg-01", LabelPatch(name="X")),
        lambda: label_of(store, "seg-01"),
        lambda: labels_in_use(store),
    ):
        with pytest.raises(LabelsDamaged, match=f"^{LABELS_FILE}") as told:
            act()
        assert str(store.directory) not in str(told.value)
    assert (store.directory / LABELS_FILE).read_bytes() == content
    version = only_version(store)
    assert described(store, version, "seg-01")["name"]
    store.activate(copy_version(store))


def test_a_full_disk_is_said_and_the_labels_stay(store, monkeypatch):
    from test_registry_save import no_space

    relabel(store, "seg-01", LabelPatch(name="X"))
    monkeypatch.setattr("model_service.store.files.fsync", no_space)
    with pytest.raises(StoreNotWritable, match="No space left"):
        relabel(store, "seg-01", LabelPatch(name="Y"))
    monkeypatch.undo()
    assert label_of(store, "seg-01")["name"] == "X"


@pytest.mark.parametrize(
    "refused",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 81},
        {"name": "two\nlines"},
        {"name": "bell\a"},
        {"name": "right-to-left \u202e"},
        {"name": "\u3164"},
        {"name": "\ufe0f"},
        {"name": "\u2800"},
        {"name": "-!?"},
        {"name": "seg-03"},
        {"name": "SEG 3"},
        {"name": "seg\u201103"},
        {"name": 5},
        {"name": ["x"]},
        {"description": "x" * 2001},
        {"description": "nul\0"},
        {"description": True},
        {"owner": "x" * 201},
        {"owner": "two\nlines"},
        {"actions": "Call them"},
        {"actions": ["x"] * 11},
        {"by": "x" * 201},
        {"by": None},
        {"nmae": "x"},
        {"derived_name": "x"},
    ],
)
def test_what_no_label_may_say(refused):
    with pytest.raises(ValidationError) as error:
        LabelPatch.model_validate(refused)
    assert [fault["loc"] for fault in error.value.errors()] == [tuple(refused)]


@pytest.mark.parametrize("action", ["", "  ", "x" * 201, "two\nlines", 5, None])
def test_what_no_action_may_be(action):
    with pytest.raises(ValidationError) as error:
        LabelPatch.model_validate({"actions": ["Call them", action]})
    assert [fault["loc"] for fault in error.value.errors()] == [("actions", 1)]


@given(name=st.text(max_size=100), description=st.text(max_size=100))
def test_what_is_accepted_can_be_stored_and_shown(name, description):
    try:
        patch = LabelPatch.model_validate({"name": name, "description": description})
    except ValidationError:
        return
    changes = patch.changes()
    assert orjson.loads(orjson.dumps(changes)) == changes
    assert 1 <= len(changes["name"]) <= 80
    assert changes["name"] == " ".join(name.split())
    assert any(character.isalnum() for character in name_key(changes["name"]))
    controls = {chr(code) for code in (*range(32), 127, 0x85, 0x2028, 0x2029)}
    assert not set(changes["name"]) & controls
    assert not set(changes["description"]) & (controls - set("\t\n\r"))
