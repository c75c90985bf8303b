"""Models that several modules look at, each trained once."""

from __future__ import annotations

import shutil
from pathlib import Path

import joblib
import pytest

from model_service.store.registry import ModelStore
from model_service.training import calibration
from model_service.training.dataset import TrainingData, read_customers
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, Trained, train
from tests.conftest import MadeOnce


@pytest.fixture(scope="session")
def real_data(real_csv: Path) -> TrainingData:
    """The real customers."""
    return read_customers(real_csv)


@pytest.fixture(scope="session")
def real_trained(real_data: TrainingData, made_once: MadeOnce) -> Trained:
    """The model of the real customers, with the full table of k."""

    def fill(folder: Path) -> None:
        joblib.dump(train(real_data, Options(), None, 1, NoProgress()), folder / "trained")

    trained: Trained = joblib.load(made_once("real-trained", fill) / "trained")
    return trained


@pytest.fixture
def few_refits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a training short where its confidence does not matter."""
    monkeypatch.setattr(calibration, "REFITS", 3)
    monkeypatch.setattr(calibration, "HELD_OUT", 3)


@pytest.fixture(scope="module")
def sample_store(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A store of the module's own, whose active model was quickly trained on the sample."""
    own = tmp_path_factory.mktemp("served") / "models"
    shutil.copytree(sample_models, own)
    return ModelStore(own)
