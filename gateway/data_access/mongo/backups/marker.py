"""The mark of a restore that has not ended, in the database that it fills: the collection ``restores``.

While it is there, the database has a part of what it should have: no gateway and no worker starts on it, and a gateway
that runs already is not ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypedDict, cast

from pymongo.database import Database

from gateway.data_access.mongo.collection import Document, session, store_errors
from gateway.services.clock import now
from gateway.services.errors import StoreUnavailable

RESTORES: Final = "restores"
_UNFINISHED: Final = {"_id": "unfinished"}
_HALF_RESTORED: Final = (
    "A backup is being restored into this database, or that was broken off: run the same `python -m gateway restore` "
    "again until it says that it is done."
)


class Marker(TypedDict):
    """A restore that has not ended.

    Attributes
    ----------
    backup : the id of the backup.
    to_erase : ids of customers who were erased after it and are still there; None until everything is loaded.
    """

    backup: str
    began_at: datetime
    to_erase: Sequence[str] | None


def unfinished_restore(database: Database[Document]) -> Marker | None:
    """Return what is known of a restore that has not ended."""
    return cast(Marker | None, database[RESTORES].find_one(_UNFINISHED))


def refuse_half_restored(database: Database[Document]) -> None:
    """Do nothing if the database is whole.

    Raises
    ------
    StoreError
        `StoreUnavailable` where a restore has not ended.
    """
    with store_errors():
        if unfinished_restore(database) is not None:
            raise StoreUnavailable(_HALF_RESTORED)


def place(database: Database[Document], backup: str) -> None:
    """Mark the database before anything is written to it."""
    database[RESTORES].insert_one({**_UNFINISHED, "backup": backup, "began_at": now(), "to_erase": None})


def loaded(database: Database[Document], to_erase: Sequence[str]) -> None:
    """Write down that everything is loaded, and who is to be erased again."""
    database[RESTORES].update_one(_UNFINISHED, {"$set": {"to_erase": list(to_erase)}})


def erased(database: Database[Document], cust_id: str) -> None:
    """Write down that a customer is erased again."""
    database[RESTORES].update_one(_UNFINISHED, {"$pull": {"to_erase": cust_id}})


def lift(database: Database[Document]) -> None:
    """Remove the mark; takes part in transactions."""
    database[RESTORES].delete_one(_UNFINISHED, session=session())
