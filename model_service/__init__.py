"""Tier 2: trains, keeps and serves the K-Means segmentation model. It does not use MongoDB.

::

    app, server, settings   the ASGI application, its default server, its environment variables
    api/                    one router per resource; hot/ and open_inference/ bypass FastAPI's request handling
    active_model            which version serves now, and others that requests name
    scoring/                from a customer's row to a prediction and its explanation
    store/                  versions, the activation history, the segments' labels, the gate
    analysis/               drift and preview, over any number of customers
    training/               from a file of customers to a fitted pipeline and its manifest
    training_jobs/          trainings as background processes with records and logs
    report/                 plots and the report, drawn after training or by a process of their own
    commands/               ``python -m model_service ...``

``A > B`` means that A may import B: commands > app > api > active_model > scoring, store; report > training > analysis,
scoring, store. import-linter enforces the whole order (`pyproject.toml`).
"""
