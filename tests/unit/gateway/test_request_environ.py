"""Addresses are parsed before anybody compares or counts them; a request names its host; variables are no headers."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.problems import assert_problem

from gateway.middleware.request_environ import RequestEnviron, client_address, drop_request_variables
from shared.hosts import host_fault

V4 = "203.0.113.7"
FORMS = [
    V4,
    f" {V4}\t",
    f"{V4}:4711",
    f"[::ffff:{V4}]",
    f"[::ffff:{V4}]:4711",
    f"::ffff:{V4}",
    "::FFFF:cb00:7107",
    "64:ff9b::cb00:7107",
    f"64:ff9b::{V4}",
    f"[64:ff9b::{V4}]:80",
    "2002:cb00:7107::1",
    f'"{V4}"',
    f'"[::ffff:{V4}]:4711"',
]
NONE = [
    "",
    "unknown",
    "_hidden",
    "203.0.113",
    "203.0.113.256",
    "0203.0.113.7",
    "a:b:c",
    "[",
    "1.2.3.4.5",
    "localhost",
    "é",
]


@pytest.mark.parametrize("text", FORMS)
def test_all_forms_of_an_address_are_one(text: str) -> None:
    assert client_address(text) == V4


@pytest.mark.parametrize(
    "text", ["2001:db8::1", "[2001:DB8:0::1]:443", "2001:db8:0:0:0:0:0:1%eth0", '"[2001:db8::1]"', " [2001:db8::1] "]
)
def test_an_ipv6_address_is_written_in_one_way(text: str) -> None:
    assert client_address(text) == "2001:db8::1"


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_address_is_none(text: str) -> None:
    assert client_address(text) is None


@given(st.one_of(st.text(), st.ip_addresses().map(str), st.text('0123456789abcdef:.[]%"', max_size=50)))
def test_whatever_comes_out_is_an_address_in_its_canonical_form(text: str) -> None:
    found = client_address(text)
    assert found is None or str(ipaddress.ip_address(found)) == found == client_address(found)


def environ_of(proxies: int, **variables: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], _: Any) -> list[bytes]:
        seen.update(environ)
        return []

    given = {"REMOTE_ADDR": "::ffff:192.0.2.1", "wsgi.url_scheme": "http", **variables}
    RequestEnviron(application, proxies)(given, lambda *_: None)
    return seen


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, V4, "192.0.2.1"),
        (1, V4, V4),
        (1, f"198.51.100.1, {V4}:80", V4),
        (1, f"198.51.100.1,[::ffff:{V4}]:80", V4),
        (2, f"198.51.100.1, {V4}, 192.0.2.9", V4),
        (2, V4, "192.0.2.1"),
        (1, "198.51.100.1, unknown", "192.0.2.1"),
        (1, f"{V4},", "192.0.2.1"),
        (1, "", "192.0.2.1"),
    ],
)
def test_the_caller_is_whom_the_outermost_trusted_proxy_names(proxies: int, forwarded: str, address: str) -> None:
    assert environ_of(proxies, HTTP_X_FORWARDED_FOR=forwarded)["REMOTE_ADDR"] == address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "scheme"),
    [
        (0, "https", "http"),
        (1, "https", "https"),
        (1, "http, HTTPS", "https"),
        (1, "javascript", "http"),
        (1, "", "http"),
    ],
)
def test_the_scheme_is_one_of_http(proxies: int, forwarded: str, scheme: str) -> None:
    assert environ_of(proxies, HTTP_X_FORWARDED_PROTO=forwarded)["wsgi.url_scheme"] == scheme


def test_an_offer_to_upgrade_is_passed_over() -> None:
    assert "HTTP_UPGRADE" not in environ_of(0, HTTP_UPGRADE="websocket")


def test_variables_of_the_process_are_no_part_of_requests() -> None:
    kept = {"HTTPS_PROXY": "http://proxy:3128", "QUERY_TIMEOUT": "3", "GATEWAY_PORT": "8000", "PATH": "/bin"}
    taken = [
        "HTTP_AUTHORIZATION",
        "HTTP_HOST",
        "HTTP_",
        "CONTENT_TYPE",
        "CONTENT_LENGTH",
        "QUERY_STRING",
        "REMOTE_ADDR",
    ]
    taken += ["SCRIPT_NAME", "PATH_INFO", "REQUEST_METHOD", "wsgi.url_scheme", "wsgi.input", "gunicorn.socket", "a.b"]
    variables = {**kept, **dict.fromkeys(taken, "x")}
    drop_request_variables(variables)
    assert variables == kept


@pytest.mark.parametrize(
    "host", ["a", "a.example:80", "127.0.0.1", "[::1]", "[2001:db8::1]:8000", "model_service:8001", "a:"]
)
def test_a_host_may_have_a_port(host: str) -> None:
    assert host_fault([host]) is None


@pytest.mark.parametrize(
    "host", ["", "a b", "a,b", "a/b", "u@a", "[::1", "[a]", "::1", "a:b", "a:999999", "[::1]x", "é"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    assert host_fault([host])


@pytest.mark.parametrize("hosts", [[], ["a", "a"], ["a", "b"]])
def test_a_request_has_one_host(hosts: list[str]) -> None:
    assert host_fault(hosts)


@pytest.mark.parametrize("host", ["", "a,b", "a b"])
def test_a_request_without_a_host_is_refused(gateway: FakeGateway, host: str) -> None:
    answer = gateway.client.get(CUSTOMERS, environ_overrides={"HTTP_HOST": host})
    assert "Host" in assert_problem(answer, 400, "bad_request")["detail"]


def test_http_1_0_needs_no_host(gateway: FakeGateway) -> None:
    assert (
        gateway.client.get(CUSTOMERS, environ_overrides={"HTTP_HOST": "", "SERVER_PROTOCOL": "HTTP/1.0"}).status_code
        == 200
    )


def test_a_target_that_is_no_path_is_refused(gateway: FakeGateway) -> None:
    assert_problem(gateway.client.get(CUSTOMERS, environ_overrides={"PATH_INFO": "foo"}), 400, "bad_request")
