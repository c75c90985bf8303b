"""Bounds on waiting for the model service: whatever it does, a thread is left over for everything else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, MODELS, PREDICTIONS, SEGMENTS, TRAININGS, FakeGateway
from fakes.registry import NEW
from support.customers import inputs, stored
from support.problems import assert_problem

from gateway.services.access.concurrency import ConcurrencyLimit, concurrency_limits
from gateway.services.errors import AnalysisBusy, ModelBusy
from gateway.settings import Settings
from shared.model_contract import CSV

LONG = [("POST", MODELS), ("GET", f"{MODELS}/active/preview"), ("GET", f"{MODELS}/{NEW}/drift?format=png")]
WAITING = [
    *LONG,
    ("GET", MODELS),
    ("GET", f"{MODELS}/active"),
    ("GET", f"{MODELS}/active/report"),
    ("GET", f"{MODELS}/active/plots/elbow.svg"),
    ("POST", f"{MODELS}/{NEW}/activate"),
    ("GET", "/api/v1/activations"),
    ("GET", TRAININGS),
    ("GET", SEGMENTS),
    ("POST", PREDICTIONS),
    ("GET", f"{CUSTOMERS}/A/segment?explain=true"),
    ("POST", f"{CUSTOMERS}/A/segment"),
]
FREE = [
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", CUSTOMERS),
    ("GET", f"{CUSTOMERS}/A"),
    ("PUT", f"{CUSTOMERS}/A"),
    ("GET", f"{CUSTOMERS}/A/segment"),
]


@contextmanager
def _full(limit: ConcurrencyLimit) -> Iterator[int]:
    """Hold every slot and yield how many there are."""
    with ExitStack() as held:
        for count in range(1_000):
            try:
                held.enter_context(limit.held())
            except (AnalysisBusy, ModelBusy):
                yield count
                return


def _gateway(threads: int = 4) -> FakeGateway:
    gateway = FakeGateway(settings=Settings(threads=threads))
    gateway.store.insert(stored("A"))
    return gateway


def _bounds(gateway: FakeGateway) -> Any:
    return gateway.services.concurrency_limits


def _open(gateway: FakeGateway, method: str, path: str) -> Any:
    body = inputs() if path == PREDICTIONS or method == "PUT" else None
    return gateway.client.open(path, method=method, json=body)


class TestBounds:
    @pytest.mark.parametrize("threads", [3, 4, 5, 64])
    def test_leave_a_thread_over(self, threads: int) -> None:
        with _full(concurrency_limits(threads).long_calls) as long, _full(concurrency_limits(threads).waits) as waiting:
            assert (long, waiting) == (threads // 2, threads - 1)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_of_few_threads_let_a_long_call_and_another_wait(self, threads: int) -> None:
        with _full(concurrency_limits(threads).long_calls) as long, _full(concurrency_limits(threads).waits) as waiting:
            assert (long, waiting) == (1, 2)


class TestSlots:
    def test_come_back_also_after_an_error(self) -> None:
        limit = ConcurrencyLimit(1, ModelBusy)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError), limit.held():
                raise ZeroDivisionError

    def test_are_waited_for(self) -> None:
        limit, asked = ConcurrencyLimit(1, ModelBusy, queue_seconds=30.0), threading.Event()
        got: list[bool] = []

        def wait() -> None:
            asked.set()
            with limit.held():
                got.append(True)

        thread = threading.Thread(target=wait)
        with limit.held():
            thread.start()
            assert asked.wait(10)
        thread.join(10)
        assert got == [True]

    def test_are_waited_for_in_vain_only_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        limit = ConcurrencyLimit(1, ModelBusy, queue_seconds=0.01)
        acquire, waited = limit._free.acquire, list[float]()

        def watched(timeout: float) -> bool:
            waited.append(timeout)
            return acquire(timeout=timeout)

        monkeypatch.setattr(limit._free, "acquire", watched)
        for _ in range(2):
            with limit.held():
                for _ in range(3):
                    with pytest.raises(ModelBusy), limit.held():
                        pass
        assert waited == [0.01, 0.01, 0, 0] * 2


class TestLongCalls:
    @pytest.mark.parametrize(("method", "path"), LONG)
    def test_one_too_many_is_refused_at_once(self, method: str, path: str) -> None:
        gateway = _gateway()
        with _full(_bounds(gateway).long_calls):
            answer = _open(gateway, method, path)
        assert_problem(answer, 503, "analysis_busy")
        assert answer.headers["Retry-After"] == "1"
        assert (gateway.registry.uploads, gateway.registry.blocks, gateway.registry.orders) == ([], [], [])
        assert _open(gateway, method, path).status_code in (200, 202)

    def test_an_upload_is_one(self) -> None:
        gateway = _gateway()
        with _full(_bounds(gateway).long_calls):
            assert_problem(gateway.send("POST", MODELS, "BALANCE\n1\n", CSV), 503, "analysis_busy")

    @pytest.mark.parametrize(("method", "path"), [call for call in WAITING + FREE if call not in LONG])
    def test_do_not_keep_the_others_out(self, method: str, path: str) -> None:
        gateway = _gateway()
        with _full(_bounds(gateway).long_calls):
            assert _open(gateway, method, path).status_code == 200


class TestWaits:
    @pytest.mark.parametrize(("method", "path"), WAITING)
    def test_one_too_many_is_refused(self, method: str, path: str) -> None:
        gateway = _gateway()
        with _full(_bounds(gateway).waits):
            answer = _open(gateway, method, path)
        assert_problem(answer, 503, "model_busy")
        assert answer.headers["Retry-After"] == "1"
        assert _open(gateway, method, path).status_code in (200, 202)

    @pytest.mark.parametrize(("method", "path"), FREE)
    def test_do_not_keep_out_what_needs_no_model(self, method: str, path: str) -> None:
        gateway = _gateway()
        with _full(_bounds(gateway).waits), _full(_bounds(gateway).long_calls):
            assert _open(gateway, method, path).status_code == 200
