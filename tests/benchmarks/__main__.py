"""``make bench``: CPU per request of both tiers against their floors, all taken in one run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import psutil
import requests

from gateway.development import mongod
from shared.features import CUST_ID
from shared.secret_rules import MODEL_SERVICE_SECRET_IN_DEVELOPMENT
from tests.benchmarks.floors import driver_floors, http_floor
from tests.benchmarks.load import LOAD_CORE, SERVER_CORE, Measure, Request, measure, request_file, start, stop
from tests.conftest import REAL_CSV, SAMPLE_CSV

PYTHON = sys.executable
NEW_KEY = [PYTHON, "-m", "gateway", "keys", "create", "--name", "benchmark", "--scope", "admin"]
LIST = 50
BATCH = 1_000


class Servers(NamedTuple):
    """Ports and process trees of what is measured, and of the echoes that show the frameworks' own cost.

    ``opens`` is what each server wants to see after ``Authorization: Bearer``.
    """

    ports: Mapping[str, int]
    trees: Mapping[str, psutil.Process]
    opens: Mapping[str, str]

    def headers(self, name: str) -> dict[str, str]:
        """Return the headers of a request that the server answers."""
        return {"Authorization": f"Bearer {self.opens.get(name, 'nobody')}"}


class Case(NamedTuple):
    """One row of the report: what is asked, of which server, whose CPU counts, and the floor in ms."""

    name: str
    server: str
    requests: list[Request]
    trees: tuple[str, ...]
    floor: float


def _wait(port: int, path: str) -> None:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        try:
            if requests.get(f"http://127.0.0.1:{port}{path}", timeout=2).status_code < 500:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    sys.exit(f"nothing answers on port {port}{path}; its log is in the benchmark's folder")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, model_store: Path) -> Iterator[Servers]:
    """Both tiers and the echo servers on one core, mongod on the other."""
    names = ("mongod", "model", "gateway", "flask", "starlette")
    ports = {name: _free_port() for name in names}
    env = {
        "MONGODB_URI": mongod.uri(ports["mongod"], "bench"),
        "MODEL_SERVICE_URL": f"http://127.0.0.1:{ports['model']}",
        "MODEL_PORT": str(ports["model"]),
        "MODEL_STORE": str(model_store),
        "GATEWAY_PORT": str(ports["gateway"]),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
        "DEPLOYMENT": "development",
        "RATE_LIMIT": "1000000000 per minute",
    }
    floors = "tests.benchmarks.floors"
    granian = [PYTHON, "-m", "granian", "--interface", "wsgi", "--blocking-threads", "4", "--no-ws", "--factory"]
    uvicorn = [PYTHON, "-m", "uvicorn", "--no-access-log", "--factory", f"{floors}:starlette_echo"]
    commands = {
        "mongod": mongod.command(folder / "mongo", ports["mongod"]),
        "model": [PYTHON, "-m", "model_service", "serve"],
        "gateway": [PYTHON, "-m", "gateway", "serve"],
        "flask": [*granian, "--port", str(ports["flask"]), f"{floors}:flask_echo"],
        "starlette": [*uvicorn, "--port", str(ports["starlette"])],
    }
    with ExitStack() as stack:
        trees = {}
        for name in names:
            core = LOAD_CORE if name == "mongod" else SERVER_CORE
            trees[name] = start(commands[name], env, folder / f"{name}.log", core)
            stack.callback(stop, trees[name])
            if name == "mongod":
                mongod.wait_for_primary(ports["mongod"])
        for name, path in (("model", "/health/ready"), ("gateway", "/health/ready"), ("flask", "/echo")):
            _wait(ports[name], path)
        key = subprocess.run(NEW_KEY, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True, check=True).stdout
        opens = {"gateway": key.strip(), "model": MODEL_SERVICE_SECRET_IN_DEVELOPMENT}
        yield Servers(ports, trees, opens)


def load_customers(servers: Servers, csv: Path) -> list[dict[str, Any]]:
    """Import the customers and return them as the gateway lists them, without what the service adds."""
    env = {**os.environ, "MONGODB_URI": mongod.uri(servers.ports["mongod"], "bench")}
    env |= {"MODEL_SERVICE_URL": f"http://127.0.0.1:{servers.ports['model']}", "DEPLOYMENT": "development"}
    psutil.Popen([PYTHON, "-m", "gateway", "import", str(csv)], env=env).wait()
    added = {"segment", "segment_status", "revision", "created_at", "updated_at", "AVERAGE_PURCHASE_TRX"}
    base, customers, cursor = f"http://127.0.0.1:{servers.ports['gateway']}/api/v1/customers", [], {}
    while cursor is not None:
        page = requests.get(
            base, params={"limit": "500", **cursor}, headers=servers.headers("gateway"), timeout=10
        ).json()
        customers += [{k: v for k, v in item.items() if k not in added} for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    return customers


def cases(servers: Servers, customers: list[dict[str, Any]]) -> list[Case]:
    """Return everything that is measured, with its floor."""
    api = "/api/v1"
    bodies = [json.dumps({k: v for k, v in c.items() if k != CUST_ID}).encode() for c in customers[:2000]]
    new = [json.dumps({**c, CUST_ID: "B@@N@@"}).encode() for c in customers[:2000]]
    many = [
        json.dumps({"customers": [json.loads(b) for b in bodies[i * 50 : i * 50 + BATCH]]}).encode() for i in range(20)
    ]
    driver = driver_floors(mongod.uri(servers.ports["mongod"], "bench"), [c[CUST_ID] for c in customers])
    http = http_floor(servers.ports["starlette"], bodies[0])
    cursors = _cursors(servers)

    def echo(server: str, body: bytes) -> float:
        method = "POST" if body else "GET"
        return _measure(servers, Case("", server, [(method, "/echo", body)], (server,), 0)).cpu_ms[server]

    flask_get, flask_one, flask_many = echo("flask", b""), echo("flask", bodies[0]), echo("flask", many[0])
    model_one, model_many = echo("starlette", bodies[0]), echo("starlette", many[0])
    both = ("gateway", "model")
    get = [("GET", f"{api}/customers/{c[CUST_ID]}", b"") for c in customers]
    pages = [("GET", f"{api}/customers?limit={LIST}&cursor={cursor}", b"") for cursor in cursors]
    predict = [("POST", f"{api}/predictions", body) for body in bodies]
    return [
        Case("get one customer", "gateway", get, ("gateway",), flask_get + driver["get"]),
        Case("list of 50", "gateway", pages, ("gateway",), flask_get + driver["list"]),
        Case("predict through both tiers", "gateway", predict, both, flask_one + http + model_one),
        Case(
            "create with assignment",
            "gateway",
            [("POST", f"{api}/customers", body) for body in new],
            both,
            flask_one + http + model_one + driver["create"],
        ),
        Case(
            "predict 1,000 through both tiers",
            "gateway",
            [("POST", f"{api}/predictions", body) for body in many],
            both,
            flask_many + model_many,
        ),
        Case("model service, one row", "model", [("POST", "/v1/predict", b) for b in bodies], ("model",), model_one),
        Case(
            "model service, 1,000 rows",
            "model",
            [("POST", "/v1/predict/batch", b) for b in many],
            ("model",),
            model_many,
        ),
        Case("model service, 1,000 rows by column", "model", _columnar(many), ("model",), model_many),
    ]


def _columnar(many: list[bytes]) -> list[Request]:
    bodies = []
    for body in many:
        rows = json.loads(body)["customers"]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        bodies.append(json.dumps({"columns": columns}).encode())
    return [("POST", "/v1/predict/batch", body) for body in bodies]


def _cursors(servers: Servers) -> list[str]:
    found, cursor = [], {}
    base, headers = f"http://127.0.0.1:{servers.ports['gateway']}/api/v1/customers", servers.headers("gateway")
    while True:
        answer = requests.get(base, params={"limit": LIST, **cursor}, headers=headers, timeout=10)
        if (following := answer.json()["next_cursor"]) is None:
            return found[:-1]  # the page after the last of them is not full
        found.append(following)
        cursor = {"cursor": following}


def _measure(servers: Servers, case: Case, rounds: int = 1, seconds: int = 2) -> Measure:
    connections = 4 if case.requests[0][2][:20].startswith((b'{"customers"', b'{"columns"')) else 16
    trees = {name: servers.trees[name] for name in case.trees}
    with tempfile.TemporaryDirectory() as folder, request_file(Path(folder), case.requests) as file:
        port, headers = servers.ports[case.server], servers.headers(case.server)
        return measure(port, file, headers, trees, rounds=rounds, seconds=seconds, connections=connections)


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds per case; medians are reported.")
@click.option("--seconds", default=5, show_default=True, help="Seconds per round.")
@click.option("--only", default="", help="Measure only cases whose name contains this.")
def main(rounds: int, seconds: int, only: str) -> None:
    """Measure server CPU per request and throughput, and compare with what framework and driver alone cost."""
    csv = REAL_CSV if REAL_CSV.exists() else SAMPLE_CSV
    click.echo(f"customers: {csv.name}; load average before: {os.getloadavg()[0]:.2f}; cores: {os.cpu_count()}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        train = [PYTHON, "-m", "model_service", "train", str(csv), "--k", "6", "--store", str(folder / "models")]
        psutil.Popen(train, stdout=(folder / "train.log").open("w")).wait()
        with running(folder, folder / "models") as servers:
            report(servers, load_customers(servers, csv), lambda s, c: _measure(s, c, rounds, seconds), only)


def report(
    servers: Servers, customers: list[dict[str, Any]], measured: Callable[[Servers, Case], Measure], only: str
) -> None:
    """Print one Markdown table row per case as it is measured."""
    click.echo("| work | req/s | p50 ms | p99 ms | gateway CPU ms | model CPU ms | sum | floor | x floor | spread |")
    click.echo("|---|---|---|---|---|---|---|---|---|---|")
    for case in cases(servers, customers):
        if only not in case.name:
            continue
        m = measured(servers, case)
        total = sum(m.cpu_ms.values())
        cells = [f"{m.cpu_ms[tier]:.3f}" if tier in m.cpu_ms else "" for tier in ("gateway", "model")]
        click.echo(
            f"| {case.name} | {m.per_second:,.0f} | {m.p50_ms:.1f} | {m.p99_ms:.1f} | {' | '.join(cells)} "
            f"| {total:.3f} | {case.floor:.3f} | {total / case.floor:.2f} | {m.spread:.0%} |"
        )


if __name__ == "__main__":
    main()
