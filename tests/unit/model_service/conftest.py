"""A tiny real model, trained once, and the application that serves it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgi_client import AsgiClient
from model_customers import TINY_K, Tiny, tiny_customers

from model_service.app import create_app
from model_service.settings import Settings
from model_service.store.registry import ModelStore
from model_service.training import calibration, selection
from model_service.training.dataset import read_customers
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, train_version


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    directory = tmp_path_factory.mktemp("tiny")
    csv = directory / "customers.csv"
    tiny_customers().to_csv(csv, index=False)
    data = read_customers(csv)
    store = ModelStore(directory / "models")
    manifest = train_version(store, data, Options(ks=(TINY_K,)), NoProgress())
    store.activate(manifest["version"], "test")
    return Tiny(csv, data, store.directory)


@pytest.fixture
def few_refits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a training short where its numbers do not matter."""
    monkeypatch.setattr(calibration, "REFITS", 3)
    monkeypatch.setattr(calibration, "HELD_OUT", 3)
    monkeypatch.setattr(selection, "SPLITS", 2)


@pytest.fixture
def store(tiny: Tiny, tmp_path: Path) -> ModelStore:
    """A copy of the tiny store, to be changed at will."""
    shutil.copytree(tiny.store, tmp_path / "models")
    return ModelStore(tmp_path / "models")


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., AsgiClient]]:
    """Starts the application with the given settings; stops it at the end of the test."""
    clients: list[AsgiClient] = []

    def start(**settings: Any) -> AsgiClient:
        settings.setdefault("model_store", tmp_path / "nothing")
        clients.append(AsgiClient(create_app(Settings(**settings))).__enter__())
        return clients[-1]

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def client(connect: Callable[..., AsgiClient], tiny: Tiny) -> AsgiClient:
    """The application serving the tiny model."""
    return connect(model_store=tiny.store, max_body_bytes=200_000)
