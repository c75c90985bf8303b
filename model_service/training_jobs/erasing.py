"""Taking a customer's id out of what trainings have said: a file that holds an id twice is refused by naming it."""

from __future__ import annotations

import re

from model_service.durable_files import replace_files
from model_service.training_jobs.folder import Folder

ERASED = "[erased]"
"""Stands where an id stood."""


def without(text: str, cust_id: str) -> str:
    """Return `text` with `ERASED` wherever the whole id stands; a dot after it may end a sentence."""
    whole = rf"(?<![A-Za-z0-9_.-]){re.escape(cust_id)}(?![A-Za-z0-9_-]|\.[A-Za-z0-9_.-])"
    return re.sub(whole, ERASED, text)


def erase(folder: Folder, cust_id: str) -> int:
    """Take the id out of the record and of the log of a training that has ended; return in how many it stood."""
    return _erase_from_record(folder, cust_id) + _erase_from_log(folder, cust_id)


def _erase_from_record(folder: Folder, cust_id: str) -> int:
    record = folder.read()
    note, reason = without(record["note"], cust_id), record["reason"] and without(record["reason"], cust_id)
    if (note, reason) == (record["note"], record["reason"]):
        return 0
    record["note"], record["reason"] = note, reason
    folder.write(record)
    return 1


def _erase_from_log(folder: Folder, cust_id: str) -> int:
    try:
        said = folder.log.read_bytes().decode("utf-8", "surrogateescape")  # a killed process may end in mid-character
    except FileNotFoundError:
        return 0
    left = without(said, cust_id)
    if left == said:
        return 0
    replace_files(left.encode("utf-8", "surrogateescape"), folder.log)
    return 1
