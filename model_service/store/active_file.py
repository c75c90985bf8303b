"""The small file that says which model version is active, and the history of that, each entry signed."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, cast

import orjson

from model_service.store.errors import ArtefactDamaged, NoActiveModel, RegistryError, SignatureRefused, cause
from model_service.store.files import Stamp, replace_files, rfc3339, stamp
from model_service.store.signatures import Signer
from shared.model_contract import Activation

UNKNOWN = "unknown"
"""Who activated a version when nobody said."""


class ActiveRecord(TypedDict):
    """Which version is active, and all activations, oldest first; the last one is of the active version.

    ``damage`` says what is wrong with ``active.json`` when this was read from its copy.
    """

    version: str
    history: list[Activation]
    damage: str | None


class ActiveFile:
    """Reads and extends the record at `path`, and keeps a copy beside it. One writer at a time; readers may be many."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self.path = path
        self._signer = signer
        self.copy = path.with_name(f"{path.stem}.copy{path.suffix}")

    def read(self) -> ActiveRecord:
        """Say which version is active.

        Raises
        ------
        NoActiveModel
            when nothing was activated yet.
        ArtefactDamaged
            when neither the file nor its copy can be read, SignatureRefused when they are not signed.
        """
        try:
            return self._record(self.path, None)
        except FileNotFoundError as error:
            if not self.copy.exists():
                raise NoActiveModel("No model is active yet; train one and activate it.") from error
            return self._read_copy(error)
        except _UNUSABLE as error:
            return self._read_copy(error)

    def _read_copy(self, fault: Exception) -> ActiveRecord:
        damage = f"{self.path.name} cannot be read ({cause(fault)})"
        try:
            return self._record(self.copy, f"{damage}; its copy {self.copy.name} is used instead")
        except _UNUSABLE as error:
            kind = SignatureRefused if isinstance(fault, SignatureRefused) else ArtefactDamaged
            raise kind(
                f"The activation history is damaged: {damage}, and neither can its copy {self.copy.name} "
                f"({cause(error)}). Restore one of them from a backup, or move both away and activate a version: "
                "that starts a new history, which running services take up after a restart."
            ) from error

    def _record(self, path: Path, damage: str | None) -> ActiveRecord:
        stored = _stored(path)
        _check_signatures(stored, self._signer, path.name)
        return ActiveRecord(version=stored.version, history=stored.history, damage=damage)

    def stamp(self) -> Stamp | None:
        """Return a value that changes whenever another version is activated; None before the first time."""
        return stamp(self.path)

    def append(self, entry: Activation) -> None:
        """Make the version of `entry` the active one; what was so before, and its place in the history, are filled in.

        Raises
        ------
        ArtefactDamaged
            when the history so far cannot be read: it must not be lost.
        OSError
        """
        try:
            found = self.read()
            history, entry["before"] = found["history"], found["version"]
            entry["at"] = max(entry["at"], history[-1]["at"])  # however the clock is set: the order is the history's
        except NoActiveModel:
            history, entry["before"] = [], None
        entry["number"] = len(history) + 1
        self._write([*history, entry])

    def _write(self, history: Sequence[Activation]) -> None:
        signatures: list[str] = []
        for entry in history:
            signatures.append(self._signer.sign("activation", _signed(entry, signatures)))
        record = {"version": history[-1]["version"], "history": history, "signatures": signatures}
        # The copy comes second: should this end in between, the file is whole and the copy is one activation behind.
        replace_files(orjson.dumps(record, option=orjson.OPT_INDENT_2), self.path, self.copy)

    def sign(self, unsigned: bool = False) -> bool:
        """Sign the history anew, unless there is none.

        Parameters
        ----------
        unsigned : take over a history that has no signatures, and leave one alone that has; say whether it was so.

        Raises
        ------
        SignatureRefused, ArtefactDamaged, OSError
        """
        try:
            history = self._unsigned() if unsigned else self.read()["history"]
        except NoActiveModel:
            return False
        if history:
            self._write(history)
        return bool(history)

    def is_signed(self) -> bool:
        """Whether there is nothing to sign, or something that cannot be read, or signatures, be they bad ones."""
        try:
            return not self._unsigned()
        except RegistryError:
            return True

    def _unsigned(self) -> Sequence[Activation]:
        """Return the history if it was written before there were signatures; else nothing, if it is signed."""
        for path in (self.path, self.copy):
            with contextlib.suppress(*_UNUSABLE):
                stored = _stored(path)
                if stored.signatures is None:
                    return stored.history
                break
        self.read()
        return []


def activation_now(version: str, reason: str, by: str, forced: bool = False, event: str | None = None) -> Activation:
    """Return the entry for an activation at this moment; `event` is its id, a new one unless given."""
    at = rfc3339(datetime.now(UTC))
    event = event or secrets.token_hex(16)
    return Activation(version=version, at=at, kind="activate", reason=reason, by=by, forced=forced, id=event)


def rollback_now(version: str, reason: str, by: str, event: str | None = None) -> Activation:
    """Return the entry for a rollback to `version` at this moment; `event` as in `activation_now`."""
    entry = activation_now(version, reason, by, event=event)
    entry["kind"] = "rollback"
    return entry


def undo_stack(history: Sequence[Activation]) -> list[str]:
    """Return the versions that rollbacks lead through: the active one last, before it the one to roll back to.

    An activation puts its version on top; a rollback takes the top away.
    """
    stack: list[str] = []
    for entry in history:
        if entry["kind"] == "rollback":
            stack.pop()
        elif stack[-1:] != [entry["version"]]:
            stack.append(entry["version"])
    return stack


_UNUSABLE = (OSError, ValueError, LookupError, TypeError, RegistryError)
"""How reading a record fails that is damaged."""


class _Stored(NamedTuple):
    """What a record says; without signatures if it was written before there were any."""

    version: str
    history: list[Activation]
    signatures: list[str] | None


def _stored(path: Path) -> _Stored:
    record = orjson.loads(path.read_bytes())
    history = [_activation(entry) for entry in record["history"]]
    if not history or undo_stack(history)[-1:] != [record["version"]]:
        raise ValueError("the history does not end with the active version")
    signatures = record.get("signatures")
    if signatures is not None and not (isinstance(signatures, list) and all(isinstance(s, str) for s in signatures)):
        raise TypeError("the signatures are no texts")
    return _Stored(record["version"], history, signatures)


def _check_signatures(stored: _Stored, signer: Signer, name: str) -> None:
    """Make sure that every entry is signed, and in its place."""
    signatures = stored.signatures or []
    for number, entry in enumerate(stored.history):
        what = f"Activation {number + 1} in {name}"
        signer.check("activation", _signed(entry, signatures[:number]), signatures[number : number + 1], what)


def _signed(entry: Activation, before: Sequence[str]) -> bytes:
    """Return what the signature of an entry is made of: itself, and the signature of the entry before it."""
    return b"".join(signature.encode() for signature in before[-1:]) + orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)


def _activation(entry: dict[str, Any]) -> Activation:
    """Return an entry in full: the first ones had neither kind nor author."""
    full = {"kind": "activate", "reason": "", "by": UNKNOWN, "forced": False, **entry}
    strings = [full[name] for name in ("version", "at", "reason", "by")]
    sound = all(isinstance(value, str) for value in strings) and isinstance(full["forced"], bool)
    numbered = isinstance(full.get("id", ""), str) and isinstance(full.get("number", 1), int)
    if not sound or not numbered or full["kind"] not in ("activate", "rollback"):
        raise TypeError("an entry of the history has an invalid member")
    return cast(Activation, full)
