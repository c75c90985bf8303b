"""Tier 1: the Flask gateway. Customers in MongoDB, predictions forwarded to the model service.

Layers, from the outside in; each may import those below it, and import-linter enforces that (`pyproject.toml`):

    app                 the application factory, with the middleware around all requests
    wiring, openapi     builds clients, services, controllers and the list of resources; makes the OpenAPI document
    middleware          what a request passes before its controller: caller, limits, query string, idempotency
    pages               the web page: sessions in a browser, templates, and modules over the API
    routes, stores      one table per resource, a row for each method and path; builds the stores
    controllers         load with a schema, call one service method, serialise with a status
    files               readers and writers of CSV, NDJSON and Parquet
    schemas             what comes in, checked once at the edge; derived from the data dictionary
    services            what the gateway does, in terms of customers and segments; no HTTP, no driver
    data_access         adapters of the services' ports: MongoDB, model service, webhooks, OpenID Connect

Routes and controllers have one module for each resource: customers, imports, exports, predictions, segments, models,
api_keys, audit, events, webhooks, service. The layers below have the same names, grouped by subject: whoever looks for
imports finds routes/imports.py, controllers/imports.py, services/imports/ and data_access/mongo/imports.py.

One request, ``PATCH /api/v1/customers/S00001``: `app` gives it a request id; `middleware` finds out who calls and
whether they may (authenticate), counts it (rate_limit), reads the query string and the Idempotency-Key;
`controllers.customers` reads the body by `schemas.customers` and calls `services.customers.customers`, which reads the
customer from its store (`data_access.mongo.customers`), asks the model service for a segment within a short deadline
(`data_access.model_service`), and writes both in one conditional write. What goes wrong on the way is one of
`services.errors`, and `middleware.errors` makes it a problem (RFC 9457).

docs/architecture.md has the rules in full, why it is so, and the recipes.
"""
