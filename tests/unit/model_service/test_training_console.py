from __future__ import annotations

import pytest

from model_service.store.registry import ModelStore
from model_service.training.summary import summary


@pytest.fixture(scope="module")
def manifest(tiny):
    store = ModelStore(tiny.store)
    return store.manifest(store.versions()[0])


def test_the_console_shows_scores_remarks_segments_and_how_far_to_trust_them(manifest):
    text = summary(manifest)
    assert "smallest share" in text
    assert manifest["choice"] in text
    for remark in manifest["evidence"]["remarks"]:
        assert f"- {remark}" in text
    for segment in manifest["segments"]:
        assert segment["name"] in text
    assert "confidence: wrong by at most 0.0" in text
    assert "rule sheet: agrees with the model on " in text
    assert "plain rule (buys in one go or not" in text
