"""Alerts and dashboard: each alert is tried and explained, and both ask for metrics that somebody tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
RUNBOOK = OPERATIONS.partition("\n## Alerts\n")[2].partition("\n## ")[0]
SEVERITIES = {"critical", "warning"}

_METRIC = re.compile(r"\b(?:up|ALERTS|(?:gateway|worker|segmentation|model_service|process)[_:][a-z_:0-9]+)\b")
_TOLD = re.compile(r"`((?:gateway|worker|segmentation|model_service|process)_[a-z_]+)[`{]")
_HISTOGRAM = re.compile(r"_(?:bucket|count|sum)$")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"")
_LABEL = re.compile(r"\$labels\.(\w+)")
_SECTION = re.compile(r"^#### (\w+)$(.*?)(?=^#### |\Z)", re.MULTILINE | re.DOTALL)
_ITALIC = re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)")


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def rules() -> list[dict[str, Any]]:
    return [rule for group in loaded(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@cache
def panels() -> list[dict[str, Any]]:
    found = [panel for board in DASHBOARDS for panel in json.loads(board.read_text(encoding="utf-8"))["panels"]]
    return [panel for panel in found if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Give the dashboards' expressions with the names of their panels, and what Grafana puts in for its variables."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$route", "/api/.*")


def promtool(*arguments: str | Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on this machine: apt-get install --no-install-recommends prometheus")
    done = subprocess.run([program, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", "alerts_test.yml")


def test_prometheus_takes_every_query_of_the_dashboards(tmp_path: Path) -> None:
    written = [{"record": f"query:{n}", "expr": expression} for n, (_, expression) in enumerate(queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": written}]}))
    promtool("check", "rules", file)


def test_every_alert_has_a_case_in_which_it_fires_as_it_is_written() -> None:
    cases = [case for test in loaded(PROMETHEUS / "alerts_test.yml")["tests"] for case in test["promql_expr_test"]]
    fired = {sample["labels"] for case in cases for sample in case["exp_samples"]}
    written = {(alert["alert"], alert["labels"]["severity"]) for alert in alerts()}
    labels = [dict(re.findall(r'(\w+)="([^"]*)"', sample)) for sample in fired]
    assert {(each["alertname"], each["severity"]) for each in labels} == written
    for alert in alerts():
        named = set(_LABEL.findall(json.dumps(alert["annotations"])))
        assert all(named <= each.keys() for each in labels if each["alertname"] == alert["alert"]), alert["alert"]


def test_every_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for alert in alerts():
        name, annotations = alert["alert"], alert["annotations"]
        assert alert["labels"]["severity"] in SEVERITIES, name
        assert annotations.keys() == {"summary", "description", "runbook_url"}, name
        assert annotations["runbook_url"] == f"docs/operations.md#{name.lower()}", name


def test_the_runbook_has_every_alert_and_says_what_it_means_what_to_look_at_and_what_to_do() -> None:
    sections = dict(_SECTION.findall(RUNBOOK))
    assert sections.keys() == {alert["alert"] for alert in alerts()}
    for name, text in sections.items():
        assert [part in text for part in ("**Means**", "**Look**", "**Do**")] == [True] * 3, name


def test_alerts_and_dashboards_use_only_metrics_that_are_told() -> None:
    told = {_HISTOGRAM.sub("", name) for name in _TOLD.findall(OPERATIONS)}
    told |= {"up", "ALERTS", *(rule["record"] for rule in rules() if "record" in rule)}
    asked = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()] + list(queries())
    unknown = {
        (who, name)
        for who, expression in asked
        for name in _METRIC.findall(_QUOTED.sub('""', expression))
        if name not in told and _HISTOGRAM.sub("", name) not in told
    }
    assert unknown == set()


def test_panels_say_what_they_show_and_do_not_cover_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        squares = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert panel["description"], panel["title"]
        assert not squares & taken, panel["title"]
        assert max(x for x, _ in squares) < 24, panel["title"]
        taken |= squares


def test_the_runbook_names_panels_that_exist() -> None:
    boards = [json.loads(board.read_text(encoding="utf-8")) for board in DASHBOARDS]
    titles = {named["title"] for board in boards for named in (board, *board["panels"])}
    named = {" ".join(title.split()) for title in _ITALIC.findall(RUNBOOK)}
    assert named
    assert named - titles == set()


def test_prometheus_finds_what_compose_starts_in_a_network_that_it_is_in() -> None:
    services = loaded(ROOT / "docker-compose.yml")["services"]
    ports = {}
    for job in loaded(PROMETHEUS / "prometheus.yml")["scrape_configs"]:
        (discovery,) = job["dns_sd_configs"]
        assert discovery["names"] == [job["job_name"]]
        assert set(services[job["job_name"]]["networks"]) & set(services["prometheus"]["networks"])
        ports[job["job_name"]] = discovery["port"]
    worker = services["worker"]["environment"]["METRICS_PORT"]
    assert ports == {"gateway": 8000, "model-service": 8001, "worker": worker}  # the defaults, which compose keeps


def test_the_profile_is_published_on_loopback_with_a_password_that_is_made() -> None:
    services = loaded(ROOT / "docker-compose.yml")["services"]
    monitoring = {name: service for name, service in services.items() if service.get("profiles") == ["monitoring"]}
    assert monitoring.keys() == {"prometheus", "grafana"}
    for service in monitoring.values():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "inside" not in services["grafana"]["networks"]
    password = services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"]
    assert password.removeprefix("/run/secrets/") in services["grafana"]["secrets"]


def test_every_secret_of_compose_is_made() -> None:
    made = re.search(r"for name in ([\w ]+); do", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert made
    assert set(made[1].split()) == loaded(ROOT / "docker-compose.yml")["secrets"].keys()
