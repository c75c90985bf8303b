"""Debian's Prometheus scrapes a running system, and alerts fire as parts of it are stopped (`make alerts-proof`).

Not part of `make test`. Rules and queries are those of `deploy/`; only how long an alert waits before it fires is
shortened, and the names of the services become addresses on this machine.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from support.customers import body
from support.servers import Mongod, free_port, running_mongod

from tests.conftest import ROOT
from tests.e2e.conftest import System, own_system, wait_until

log = logging.getLogger("proof")

DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "customer-segmentation.json"
EVERY = "1s"
FIRES_AFTER = "2s"
_METRIC = re.compile(r"\b(?:gateway|worker|segmentation|model_service|process)_[a-z_]+")
WITHOUT_DATA = {
    "Alerts",
    "Errors by route",
    "Refusals",
    "Drift was looked at",
    "Drift by feature",
    "Duties that failed",
    "Places in use",
    "Refused because all places were taken",
    "Refused by a rate limit",
}
"""Panels that are empty while all is well, and those of drift, which needs 200 customers."""


class Prometheus:
    """A Prometheus with our rules over the given targets; what fired is noted with its time."""

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        self._folder = folder
        self._base = f"http://127.0.0.1:{free_port()}"
        self._http = requests.Session()
        self._begun = time.monotonic()
        folder.mkdir()
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
        for job in config["scrape_configs"]:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
        rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"] if "for" in rule):
            rule["for"] = FIRES_AFTER
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (folder / "alerts.yml").write_text(yaml.safe_dump(rules))
        address = f"--web.listen-address={self._base.removeprefix('http://')}"
        command = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            address,
        ]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen([*command, "--log.level=warn"], stdout=log, stderr=log, cwd=folder)
        wait_until(lambda: self._ready(), "Prometheus ready")

    def _ready(self) -> bool:
        try:
            return self._http.get(f"{self._base}/-/ready", timeout=2).ok
        except requests.RequestException:
            return False

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self._http.get(f"{self._base}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression comes to now."""
        return list(self._get("query", query=expression)["result"])

    def metrics(self) -> set[str]:
        """Return the names of all that was ever told."""
        return set(self._get("label/__name__/values"))

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self._alerts()}

    def _alerts(self) -> list[dict[str, Any]]:
        return [alert for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"]

    def wait_for(self, *names: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until all of these alerts fire, and say what all that do say."""

        def fire() -> bool:
            meanwhile()
            return set(names) <= self.firing()

        wait_until(fire, f"{names} fire", 60)
        for alert in self._alerts():
            name, severity = itemgetter("alertname", "severity")(alert["labels"])
            summary = alert["annotations"]["summary"]
            assert "<" not in summary, summary  # so Prometheus writes what it cannot fill in
            self._note(f"{name} ({severity}){'' if name in names else ' as well'}: {summary}")

    def wait_for_silence(self) -> None:
        """Wait until no alert fires."""
        wait_until(lambda: not self.firing(), "no alert fires", 60)
        self._note("silence")

    def _note(self, what: str) -> None:
        log.info("%5.0f s  %s", time.monotonic() - self._begun, what)

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(20)
        self._http.close()


@pytest.fixture
def database() -> Iterator[Mongod]:
    """A mongod that may be killed."""
    with running_mongod() as server:
        yield server


@pytest.fixture
def system(tmp_path: Path, database: Mongod, sample_models: Path) -> Iterator[System]:
    with own_system(tmp_path / "system", database, sample_models) as system:
        system.env |= {"METRICS_NETWORKS": "127.0.0.1/32", "METRICS_PORT": str(free_port()), "MONGODB_TIMEOUT": "1"}
        yield system


@pytest.fixture
def prometheus(tmp_path: Path, system: System) -> Iterator[Prometheus]:
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not on this machine: apt-get install --no-install-recommends prometheus")
    targets = {
        "gateway": system.base.removeprefix("http://"),
        "model-service": system.model_base.removeprefix("http://"),
        "worker": f"127.0.0.1:{system.env['METRICS_PORT']}",
    }
    server = Prometheus(tmp_path / "prometheus", targets)
    try:
        yield server
    finally:
        server.stop()


def store_customers(system: System, prefix: str, customers: int = 20) -> None:
    for n in range(customers):
        assert system.create(body(f"{prefix}{n}")).status_code == 201
        assert system.http.get(f"{system.base}/api/v1/customers/{prefix}{n}", timeout=10).ok


def filled_in(expression: str) -> str:
    """Put in what Grafana does for its variables."""
    return expression.replace("$__rate_interval", "1m").replace("$route", "/api/.*")


def look_at_the_dashboard(prometheus: Prometheus) -> None:
    """Ask every query of the dashboard, and say what came of it."""
    empty = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        expressions = [target["expr"] for target in panel.get("targets", ())]
        answers = [prometheus.query(filled_in(expression)) for expression in expressions]
        if expressions and not any(answers):
            empty.add(panel["title"])
        for found in answers:
            what = found[0]["value"][1] if len(found) == 1 else f"{len(found)} series"
            log.info("         %s: %s", panel["title"], what)
    assert empty <= WITHOUT_DATA


def test_what_is_stopped_is_told_and_what_is_mended_falls_silent(
    system: System, database: Mongod, prometheus: Prometheus
) -> None:
    system.start_model()
    system.start_gateway()
    system.start_worker()
    wait_until(lambda: len(prometheus.query("up == 1")) == 3, "everything is scraped")
    store_customers(system, "A")
    wait_until(lambda: prometheus.query("sum(segmentation_customers) == 20") != [], "the customers are counted")
    prometheus.wait_for_silence()
    look_at_the_dashboard(prometheus)
    assert set(_METRIC.findall((DEPLOY / "prometheus" / "alerts.yml").read_text())) <= prometheus.metrics()

    log.info("the model service is killed, and customers are stored")
    system.kill("model")
    store_customers(system, "B")
    prometheus.wait_for("ModelServiceDown", "ModelServiceErrors", "CustomersPending")
    wait_until(lambda: prometheus.query("max(segmentation_customers_pending) == 20") != [], "all of them are counted")
    system.start_model()
    wait_until(lambda: system.pending() == 0, "everybody has a segment")
    wait_until(lambda: "CustomersPending" not in prometheus.firing(), "nobody is pending any more")
    wait_until(lambda: "ModelServiceDown" not in prometheus.firing(), "the model service is back")

    log.info("the worker is killed")
    system.kill("worker")
    prometheus.wait_for("WorkerDown")
    system.start_worker()
    wait_until(lambda: "WorkerDown" not in prometheus.firing(), "the worker is back")

    log.info("MongoDB is killed")
    database.kill()
    one = f"{system.base}/api/v1/customers/A1"
    prometheus.wait_for("MongoDBUnreachable", "GatewayErrors", meanwhile=lambda: system.http.get(one, timeout=10))
    database.start()
    wait_until(lambda: "MongoDBUnreachable" not in prometheus.firing(), "MongoDB is back", 60)

    log.info("the gateway is killed")
    system.kill("gateway")
    prometheus.wait_for("GatewayDown")
