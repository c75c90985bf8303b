"""What every method of every address does, a module for each resource; their order is that of the document."""

from __future__ import annotations

from gateway.documentation.operation import Operation, Resource
from gateway.documentation.operations.api_keys import API_KEYS
from gateway.documentation.operations.audit import AUDIT
from gateway.documentation.operations.customer_segments import CUSTOMER_SEGMENTS
from gateway.documentation.operations.customers import CUSTOMERS
from gateway.documentation.operations.deletions import DELETIONS
from gateway.documentation.operations.exports import EXPORTS
from gateway.documentation.operations.imports import IMPORTS
from gateway.documentation.operations.models import MODELS
from gateway.documentation.operations.predictions import PREDICTIONS
from gateway.documentation.operations.segments import SEGMENTS
from gateway.documentation.operations.service import SERVICE
from gateway.documentation.operations.trainings import TRAININGS

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
