"""The last report of each worker in MongoDB: the `WorkerReports` port; on its own because its documents expire."""

from __future__ import annotations

from dataclasses import asdict

from pymongo import ASCENDING, DESCENDING, IndexModel

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection
from gateway.services.assignments.reports import Report, Reported

_DAY = 24 * 3600
REPORT_INDEXES = (IndexModel([("at", ASCENDING)], name="expiry", expireAfterSeconds=7 * _DAY),)
_HEARD_OF: Document = {"$currentDate": {"at": True}}  # by the server's clock
_SILENT_MS: Document = {"$subtract": ["$$NOW", "$at"]}
_MOST_WORKERS = 100


class MongoWorkerReports:
    """`WorkerReports` in MongoDB; what a worker said last expires after a week."""

    def __init__(self, collection: Documents) -> None:
        self._reports = StoreCollection(collection)

    def report(self, worker: str, report: Report) -> None:
        with self._reports as reports:
            said = asdict(report)
            done = said.pop("done")  # beside the rest: a gateway of the version before knows no such member of it
            reports.update_one({"_id": worker}, {"$set": {"rescoring": said, "done": done}, **_HEARD_OF}, upsert=True)

    def latest(self) -> list[Reported]:
        with self._reports as reports:
            found = reports.aggregate(
                [
                    {"$sort": {"at": DESCENDING}},
                    {"$limit": _MOST_WORKERS},
                    {"$set": {"silent_ms": _SILENT_MS}},
                ]
            )
            return [
                Reported(
                    Report(**document["rescoring"], done=document.get("done")),
                    document["at"],
                    document["silent_ms"] / 1000,
                )
                for document in found
            ]
