"""What every method of every address does, a module for each resource; their order is that of the document."""

from __future__ import annotations

from gateway.openapi.operation import Operation, Resource
from gateway.openapi.operations.api_keys import API_KEYS
from gateway.openapi.operations.audit import AUDIT
from gateway.openapi.operations.customer_segments import CUSTOMER_SEGMENTS
from gateway.openapi.operations.customers import CUSTOMERS
from gateway.openapi.operations.deletions import DELETIONS
from gateway.openapi.operations.exports import EXPORTS
from gateway.openapi.operations.imports import IMPORTS
from gateway.openapi.operations.models import MODELS
from gateway.openapi.operations.predictions import PREDICTIONS
from gateway.openapi.operations.segments import SEGMENTS
from gateway.openapi.operations.service import SERVICE
from gateway.openapi.operations.trainings import TRAININGS

RESOURCES: tuple[Resource, ...] = (
    CUSTOMERS,
    CUSTOMER_SEGMENTS,
    IMPORTS,
    EXPORTS,
    DELETIONS,
    PREDICTIONS,
    SEGMENTS,
    MODELS,
    TRAININGS,
    API_KEYS,
    AUDIT,
    SERVICE,
)

OPERATIONS: dict[str, tuple[str, Operation]] = {
    key: (resource.name, operation) for resource in RESOURCES for key, operation in resource.operations.items()
}
"""The operations, each with the name of its resource, by method and address."""
