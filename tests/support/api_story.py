"""A day with the API: every operation once, as a CRM and its administrators use it.

Told to the gateway on fakes, it proves that answers are as documented. Told to the real system, it also gives the
examples that the document shows (`tests/e2e/test_api_examples.py`).
"""

from __future__ import annotations

from typing import Any

from shared.features import CUST_ID
from shared.model_contract import CSV
from support.documented import DocumentedClient

ANN: dict[str, Any] = {
    CUST_ID: "C90001",
    "BALANCE": 1411.6,
    "BALANCE_FREQUENCY": 1,
    "PURCHASES": 0,
    "ONEOFF_PURCHASES": 0,
    "INSTALLMENTS_PURCHASES": 0,
    "CASH_ADVANCE": 2301.49,
    "PURCHASES_FREQUENCY": 0,
    "ONEOFF_PURCHASES_FREQUENCY": 0,
    "PURCHASES_INSTALLMENTS_FREQUENCY": 0,
    "CASH_ADVANCE_FREQUENCY": 0.333333,
    "CASH_ADVANCE_TRX": 6,
    "PURCHASES_TRX": 0,
    "CREDIT_LIMIT": 3000,
    "PAYMENTS": 911.21,
    "MINIMUM_PAYMENTS": None,
    "PRC_FULL_PAYMENT": 0,
    "TENURE": 12,
}
BOB = ANN | {
    CUST_ID: "C90002",
    "BALANCE": 163.75,
    "PURCHASES": 972.4,
    "ONEOFF_PURCHASES": 493.82,
    "INSTALLMENTS_PURCHASES": 478.58,
    "CASH_ADVANCE": 0,
    "PURCHASES_FREQUENCY": 1,
    "ONEOFF_PURCHASES_FREQUENCY": 0.833333,
    "PURCHASES_INSTALLMENTS_FREQUENCY": 0.75,
    "CASH_ADVANCE_FREQUENCY": 0,
    "CASH_ADVANCE_TRX": 0,
    "PURCHASES_TRX": 21,
    "MINIMUM_PAYMENTS": 171.06,
}
FEATURES = {name: value for name, value in ANN.items() if name != CUST_ID}


FILE = "\n".join(
    [",".join(ANN)]
    + [
        ",".join("" if value is None else str(value) for value in row.values())
        for row in (ANN, BOB, ANN | {CUST_ID: "C90005", "TENURE": 60})
    ]
).encode()
"""A CSV file of both, and of a customer that breaks a rule."""


def customers(api: DocumentedClient) -> None:
    """Create, read, change, delete, restore and erase customers."""
    created = api("createCustomer", 201, ANN, Idempotency_Key="6f1d9d7e-create-C90001")
    etag = created.headers["etag"]
    api("createCustomer", 409, ANN)
    api("createCustomer", 422, {**BOB, "TENURE": 60, "COLOUR": "red"})
    api("getCustomer", 200, cust_id="C90001")
    api("getCustomer", 304, cust_id="C90001", If_None_Match=etag)
    changed = api("patchCustomer", 200, {"BALANCE": 1600, "TENURE": 11}, cust_id="C90001", If_Match=etag)
    api("patchCustomer", 412, {"BALANCE": 0}, cust_id="C90001", If_Match=etag)
    api("replaceCustomer", 201, FEATURES | {"PAYMENTS": 55.5}, cust_id="C90003", If_None_Match="*")
    api("replaceCustomer", 200, FEATURES, cust_id="C90001", If_Match=changed.headers["etag"])
    api("writeCustomers", 200, {"customers": [ANN, BOB, {**BOB, CUST_ID: "C90004", "BALANCE": -1}]}, mode="upsert")
    first = api("listCustomers", 200, limit=2)
    api("listCustomers", 200, limit=2, cursor=first.body["next_cursor"])
    api("listCustomers", 200, sort="-BALANCE", fields="CUST_ID,BALANCE", count="exact")
    api("getCustomerSegment", 200, cust_id="C90001", explain=True)
    api("replaceCustomer", 200, {**BOB, CUST_ID: "C90001"}, cust_id="C90001")  # which is another kind of customer
    history = api("listCustomerHistory", 200, cust_id="C90001", limit=2, explain=True)
    api("listCustomerHistory", 200, cust_id="C90001", cursor=history.body["next_cursor"])
    then = api("rescoreCustomer", 200, cust_id="C90001").body["assigned_at"]
    api("getCustomerSegment", 200, cust_id="C90001", as_of=then)
    api("listCustomers", 200, segment="seg-01", as_of=then, limit=2)
    api("listSegments", 200, as_of=then)


def sample(api: DocumentedClient) -> None:
    """Begin with the sample."""
    api("loadSample", 201)
    api("getSample", 200)


def sample_removed(api: DocumentedClient) -> None:
    """Remove the sample, which others outlive."""
    api("loadSample", 409)
    api("removeSample", 200)


def imports(api: DocumentedClient) -> None:
    """Import a file, and look up what became of it."""
    receipt = api("importCustomers", 201, FILE, CSV, name="crm.csv")
    api("importCustomers", 201, FILE, CSV, accept="application/x-ndjson", dry_run=True, mode="insert")
    api("importCustomers", 202, FILE, CSV, dry_run=True, mode="mirror", background=True)
    api("importCustomers", 422, b"colour\nred\n", CSV)
    api("listImports", 200, limit=1)
    api("getImport", 200, import_id=receipt.body["id"])
    api("getImportErrors", 200, import_id=receipt.body["id"])
    api("cancelImport", 409, import_id=receipt.body["id"])
    for kind in ("csv", "ndjson", "parquet"):
        api("exportCustomers", 200, format=kind, TENURE=12)


def deletions(api: DocumentedClient) -> None:
    """Delete and restore a customer, and erase one for good."""
    api("deleteCustomer", 204, cust_id="C90003")
    api("listDeletedCustomers", 200)
    api("getDeletedCustomer", 200, cust_id="C90003")
    api("restoreCustomer", 200, cust_id="C90003")
    receipt = api("deleteCustomer", 200, cust_id="C90003", erase=True)
    api("getErasure", 200, erasure_id=receipt.body["id"])
    api("listErasures", 200, CUST_ID="C90003")


def bulk_deletion(api: DocumentedClient) -> None:
    """Delete all customers that match, once their number is known."""
    sample = {"CUST_ID[prefix]": "C90005"}
    api("writeCustomers", 200, {"customers": [BOB | {CUST_ID: f"C90005{place}"} for place in "ABC"]})
    count = api("deleteCustomers", 200, dry_run=True, **sample).body["matching"]
    api("deleteCustomers", 409, confirm=count + 1, **sample)
    api("deleteCustomers", 200, confirm=count, **sample)


def predictions(api: DocumentedClient) -> None:
    """Predict for one customer and for many."""
    api("predict", 200, FEATURES)
    api("predict", 200, FEATURES, explain=True)
    api("predict", 200, {"customers": [FEATURES, {"BALANCE": 1}]})


def segments(api: DocumentedClient) -> None:
    """Read the segments, and name one."""
    found = api("listSegments", 200).body["items"]
    api("getSegment", 200, segment_id=found[0]["id"])
    api("listSegmentCustomers", 200, segment_id=found[0]["id"], limit=2, fields="CUST_ID,segment")
    api("listSegmentSizes", 200, limit=2)
    began = api("getCustomer", 200, cust_id="C90001").body["created_at"]
    api("getSegmentTransitions", 200, since=began)
    api("getSegmentTransitions", 410, since="2020-01-01T00:00:00Z")
    api("labelSegment", 200, {"owner": "Card lending", "by": "ann"}, segment_id=found[0]["id"])


def assignments(api: DocumentedClient) -> None:
    """See how far the workers are, and what needs attention."""
    api("getAssignmentsStatus", 200)
    api("listAlerts", 200)


def models(api: DocumentedClient) -> None:
    """Look at the versions, put one in force and go back."""
    versions = api("listModels", 200).body["items"]
    new = next(entry["version"] for entry in versions if entry["status"] != "active")
    api("getModel", 200, version="active")
    api("getGate", 200, version=new)
    api("previewModel", 200, version=new)
    api("previewModel", 200, version=new, format="svg")
    api("getDrift", 200, version="active")
    api("activateModel", 200, {"reason": "quarterly", "by": "ann", "force": True}, version=new)
    api("rollBackModel", 200, {"reason": "second thoughts", "by": "ann"})
    api("listActivations", 200)
    etag = api("getReport", 200, version="active").headers["etag"]
    api("getReport", 304, version="active", If_None_Match=etag)
    plot = api("listPlots", 200, version="active").body["items"][0]["name"]
    api("getPlot", 200, version="active", name=plot, kind="svg")
    api("getPlot", 404, version="active", name="no-such-picture", kind="png")


def trainings(api: DocumentedClient, wait: Any = lambda training_id: None) -> None:
    """Train on the stored customers, watch and stop it."""
    training = api("trainModel", 202, note="quarterly", k=3).body["id"]
    api("listTrainings", 200)
    api("getTraining", 200, training_id=training)
    api("getTrainingLog", 200, training_id=training)
    api("cancelTraining", 202, training_id=training)
    wait(training)
    api("cancelTraining", 409, training_id=training)


def api_keys(api: DocumentedClient) -> None:
    """Make, rotate and revoke a key."""
    key = api("createApiKey", 201, {"name": "CRM", "scopes": ["customers:read", "predictions"]}).body["id"]
    api("listApiKeys", 200)
    api("getApiKey", 200, key_id=key)
    api("rotateApiKey", 200, {"overlap_seconds": 600}, key_id=key)
    api("revokeApiKey", 204, key_id=key)
    api("rotateApiKey", 409, key_id=key)


def webhooks(api: DocumentedClient, wait: Any = lambda webhook_id, delivery_id: None) -> None:
    """Tell the CRM of what happens, see what it was told, and tell it again."""
    order = {"url": "https://crm.invalid/hooks/segments", "description": "CRM", "types": ["customer.segment_changed"]}
    webhook = api("createWebhook", 201, order).body["id"]
    api("createWebhook", 422, {**order, "url": "https://10.0.0.7/"})
    api("listWebhooks", 200)
    test = api("testWebhook", 202, webhook_id=webhook).body["id"]
    wait(webhook, test)
    api("getDelivery", 200, webhook_id=webhook, delivery_id=test)
    api("listDeliveries", 200, webhook_id=webhook, limit=1)
    api("replayDelivery", 202, webhook_id=webhook, delivery_id=test)
    api("patchWebhook", 200, {"status": "paused"}, webhook_id=webhook)
    api("replayEvents", 200, {"after": "earliest"}, webhook_id=webhook)
    api("rotateWebhookSecret", 200, {"overlap_seconds": 600}, webhook_id=webhook)
    api("getWebhook", 200, webhook_id=webhook)
    api("deleteWebhook", 204, webhook_id=webhook)
    api("getWebhook", 404, webhook_id=webhook)


def audit(api: DocumentedClient) -> None:
    """Read who did all that; the examples show what became of one customer, whatever else is told."""
    found = api("listAuditEntries", 200, limit=2, subject="C90001")
    api("listAuditEntries", 200, limit=2, cursor=found.body["next_cursor"], action="customer.created")


def events(api: DocumentedClient) -> None:
    """Follow what has happened."""
    page = api("listEvents", 200, limit=2, type="customer.created,customer.segment_changed")
    api("listEvents", 200, after=page.body["next_cursor"], wait=1)
    api("getEventSummary", 200)


def service(api: DocumentedClient) -> None:
    """Ask the service itself."""
    for operation in ("getIndex", "getLiveness", "getReadiness", "getMetrics", "getDocs"):
        api(operation, 200)
    api("getModelServiceOpenAPI", 200)
    etag = api("getOpenAPI", 200).headers["etag"]
    api("getOpenAPI", 304, If_None_Match=etag)
    for file in ("start.js", "swagger-ui.css", "favicon-32x32.png"):
        etag = api("getDocsFile", 200, file=file).headers["etag"]
    api("getDocsFile", 304, file=file, If_None_Match=etag)


CHAPTERS = (
    sample,
    customers,
    imports,
    deletions,
    bulk_deletion,
    predictions,
    segments,
    assignments,
    models,
    trainings,
    api_keys,
    webhooks,
    audit,
    events,
    service,
    sample_removed,
)
"""In this order: the later ones find what the earlier ones stored."""
