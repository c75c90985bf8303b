"""What people say of the segments: names, descriptions, owners and actions by permanent id, beside those made by rule.

They lie in ``<store>/labels.json``, apart from the versions, so that they follow a segment through every retraining.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from model_service.store.errors import LabelsDamaged, SignatureRefused, cause
from model_service.store.files import Stamp, replace_files, stamp
from model_service.store.manifest import StoredSegment
from model_service.store.signatures import Signer, read_signatures, write_signatures
from shared.model_contract import Label

log = logging.getLogger(__name__)

Labels = Mapping[str, Label]


_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control and format characters, lone surrogates, and separators of lines and paragraphs."""


def _visible() -> str:
    """Return all other characters as a class of a regular expression, as JSON Schema takes it."""
    runs: list[list[int]] = []
    hidden = _INVISIBLE - {"Cs"}  # what JSON text carries is no surrogate
    for code in chain(range(0x32000), range(0xE0000, 0xE1000)):  # between and beyond, Unicode has no such character
        if unicodedata.category(chr(code)) in hidden:
            if runs and runs[-1][1] == code - 1:
                runs[-1][1] = code
            else:
                runs.append([code, code])
    return "[^" + "".join(f"{_escaped(first)}-{_escaped(last)}" for first, last in runs) + "]"


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else chr(code)


_UNSEEN = set(map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10))))
"""Letters, marks and symbols (after NFKC) that leave no ink: joiners, fillers, variation selectors, empty braille."""


def _one_line(value: str) -> str:
    if any(unicodedata.category(character) in _INVISIBLE for character in value):
        raise ValueError("must be one line without control characters")
    return value


def _text(value: str) -> str:
    if any(unicodedata.category(character) in _INVISIBLE for character in value if character not in "\t\n\r"):
        raise ValueError("must not contain control characters other than tabs and line breaks")
    return value


def _name(value: str) -> str:
    """Refuse what shows nothing to read, or reads as the id of a segment; runs of white space become one space."""
    name = " ".join(value.split())
    key = name_key(name)
    if not any(unicodedata.category(character)[0] in "LN" for character in key):
        raise ValueError("must contain a letter or a digit")
    if re.fullmatch(r"seg[-_ ]?\d+", key):
        raise ValueError("must not look like a segment's id")
    return name


VISIBLE = _visible()

Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_one_line), AfterValidator(_name)]
"""What a segment is called."""
Line = Annotated[str, Field(max_length=200, json_schema_extra={"pattern": f"^{VISIBLE}*$"}), AfterValidator(_one_line)]
"""A short text on one line, such as who did something."""
Text = Annotated[str, Field(json_schema_extra={"pattern": f"^({VISIBLE}|[\\t\\n\\r])*$"}), AfterValidator(_text)]
Action = Annotated[Line, Field(min_length=1)]
"""Something to do for the customers of a segment."""
MOST_ACTIONS = 10
Reason = Annotated[Text, Field(max_length=1_000)]
"""Why something was done, on one line or more."""


class LabelPatch(BaseModel):
    """A merge patch (RFC 7396) of a segment's label: absent members stay, null clears.

    With ``if_labelled_at`` it holds only while the label is the one that was changed then (null: by nobody yet).
    """

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    name: Name | None = None
    description: Annotated[Text, Field(min_length=1, max_length=2_000)] | None = None
    owner: Annotated[Line, Field(min_length=1)] | None = None
    actions: Annotated[list[Action], Field(max_length=MOST_ACTIONS)] | None = None
    if_labelled_at: Line | None = None
    by: Line = "unknown"

    def changes(self) -> dict[str, Any]:
        """Return the members of the label that are to change."""
        return self.model_dump(include={"name", "description", "owner", "actions"}, exclude_unset=True)

    def fits(self, label: Label) -> bool:
        """Whether the label is still the one that the caller knows, as far as it says."""
        return "if_labelled_at" not in self.model_fields_set or self.if_labelled_at == label["changed_at"]


class LabelFile:
    """Reads and replaces the labels at `path`, whose signature lies beside. One writer at a time, many readers."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self.path = path
        self._signer = signer
        self._signatures = path.with_suffix(".hmac")

    def read(self) -> dict[str, Label]:
        """Return all labels by segment id.

        Raises
        ------
        LabelsDamaged
        """
        try:
            content = self.path.read_bytes()
            self._check(content)
            labels = orjson.loads(content)
            if not all({*label, "actions"} == set(Label.__annotations__) for label in labels.values()):
                raise ValueError("a label has other members")
            return {segment: {"actions": None, **label} for segment, label in _labels.validate_python(labels).items()}
        except FileNotFoundError:
            return {}
        except SignatureRefused as error:
            raise LabelsDamaged(str(error)) from error
        except ValidationError as error:
            raise LabelsDamaged(f"{self.path.name} cannot be read (a member of a label has a wrong type).") from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise LabelsDamaged(f"{self.path.name} cannot be read ({cause(error)}).") from error

    def usable(self) -> dict[str, Label]:
        """Return all labels, or none when they are damaged: the derived names stand in."""
        try:
            return self.read()
        except LabelsDamaged as error:
            log.error("using the derived names in place of the segment labels in %s: %s", self.path.parent, error)
            return {}

    def stamp(self) -> Stamp | None:
        """Return a value that changes whenever a label is changed; None while there is none."""
        return stamp(self.path)

    def replace(self, labels: Labels) -> None:
        """Make `labels` the content; a crash at any instant leaves the old or the new.

        Raises
        ------
        OSError
        """
        # Without the actions that nobody gave, so that a program from before there were any can be gone back to.
        stored = {
            segment: {name: said for name, said in label.items() if name != "actions" or said is not None}
            for segment, label in labels.items()
        }
        content = orjson.dumps(stored, option=orjson.OPT_INDENT_2)
        # Before the labels, and with the signature of those of now: whenever this ends, what is there is signed.
        kept = [self._check(self.path.read_bytes())] if self.path.exists() else []
        write_signatures(self._signatures, self._signer.sign("labels", content), *kept)
        replace_files(content, self.path)

    def sign(self, unsigned: bool = False) -> bool:
        """Sign the labels anew, if there are any.

        Parameters
        ----------
        unsigned : take over labels that have no signature, and leave those alone that have one; say whether it was so.

        Raises
        ------
        SignatureRefused, OSError
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return False
        if not unsigned or read_signatures(self._signatures):
            self._check(content)
            if unsigned:
                return False
        write_signatures(self._signatures, self._signer.sign("labels", content))
        return True

    def copy(self, folder: Path) -> None:
        """Copy the labels, if there are any, and the signature that belongs to them, while others may write.

        Raises
        ------
        OSError
        """
        while self.path.exists():
            content = self.path.read_bytes()
            signatures = read_signatures(self._signatures)
            if content == self.path.read_bytes():  # not replaced meanwhile, so that one of the signatures is theirs
                (folder / self.path.name).write_bytes(content)
                write_signatures(folder / self._signatures.name, *signatures)
                break

    def is_signed(self) -> bool:
        """Whether there is nothing to sign, or a signature, be it a bad one."""
        return self._signatures.exists() or not self.path.exists()

    def _check(self, content: bytes) -> str:
        return self._signer.check("labels", content, read_signatures(self._signatures), self.path.name)


_labels: TypeAdapter[dict[str, Label]] = TypeAdapter(dict[str, Label])


def displayed_name(segment: StoredSegment, labels: Labels) -> str:
    """Return what a segment is called: the name a person gave it, else the one made by rule."""
    label = labels.get(segment["id"])
    return (label and label["name"]) or segment["name"]


def displayed_actions(segment: StoredSegment, labels: Labels) -> list[str]:
    """Return what to do for a segment: what a person said, else what follows from its profile by rule."""
    label = labels.get(segment["id"])
    said = label and label.get("actions")
    return segment["actions"] if said is None else said


def name_warning(segment: StoredSegment, labels: Labels) -> str | None:
    """Say why a person's name may no longer fit: the rules call the segment otherwise than when it was named."""
    label = labels.get(segment["id"])
    if label is None or label["name"] is None or label["derived_name"] == segment["derived_name"]:
        return None
    return (
        f"The segment was named {label['name']!r} when the rules called it {label['derived_name']!r}; "
        f"they now call it {segment['derived_name']!r}."
    )


def names_by_id(segments: Iterable[StoredSegment], labels: Labels) -> dict[str, str]:
    """Return every name that is in use: those of `segments` as displayed, and those people gave to others."""
    given = {identity: label["name"] for identity, label in labels.items() if label["name"]}
    return given | {s["id"]: displayed_name(s, labels) for s in segments}


def name_key(name: str) -> str:
    """Return what two names have in common that people cannot tell apart at a glance."""
    folded = (_folded(character) for character in unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(folded).split())


def _folded(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf" or character in _UNSEEN:
        return ""
    return "-" if category == "Pd" else character
