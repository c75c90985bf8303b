"""Deliveries to real servers: what is sent, and receivers that answer badly, slowly, endlessly, or from elsewhere."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier
from support.certificates import Authority
from support.scripted_server import TRICKLES, Script, ScriptedServer, always, hang, http, serving, trickling
from support.servers import free_port

from gateway.data_access.webhooks.receiver import LONGEST_ANSWER, HttpReceiver
from gateway.services.webhooks.destinations import Destinations
from gateway.services.webhooks.signing import Signing
from gateway.services.webhooks.webhook import Message, Receipt
from shared.networks import LOOPBACK

MESSAGE = Message("evt_42", json.dumps({"type": "customer.deleted", "data": {"id": "42"}}).encode())
SECRET = Signing("secret").secret("one", "now")
OLD = Signing("secret").secret("one", "before")
HERE = Destinations(LOOPBACK)
SOON = 0.3


def send(url: str, timeout: float = 20.0, destinations: Destinations = HERE, **options: object) -> Receipt:
    return HttpReceiver(destinations, timeout, **options).send(url, MESSAGE, [SECRET, OLD])  # type: ignore[arg-type]


def answered(script: Script, path: str = "/hooks?of=crm", timeout: float = 20.0) -> tuple[Receipt, ScriptedServer]:
    with serving(script) as server:
        return send(server.url + path, timeout), server


class TestSent:
    def test_what_a_receiver_gets(self) -> None:
        receipt, server = answered(always(http("ok", "202 Accepted")))
        assert (receipt.outcome, receipt.status, receipt.detail) == ("accepted", 202, "202 Accepted")
        (request,) = server.requests
        assert (request.method, request.path, request.body) == ("POST", "/hooks?of=crm", MESSAGE.body)
        assert request.headers["host"].startswith("127.0.0.1:")
        assert request.headers["content-type"] == "application/json"
        assert request.headers["webhook-id"] == MESSAGE.id

    @pytest.mark.parametrize("secret", [SECRET, OLD])
    def test_it_is_signed_with_each_secret(self, secret: str) -> None:
        _, server = answered(always(http("")))
        (request,) = server.requests
        assert Verifier(secret).verify(request.body, request.headers) == json.loads(MESSAGE.body)

    def test_a_path_is_made_up_where_there_is_none(self) -> None:
        _, server = answered(always(http("")), path="")
        assert server.requests[0].path == "/"

    def test_no_proxy_of_the_environment_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        receipt, _ = answered(always(http("")))
        assert receipt.outcome == "accepted"


class TestAnswers:
    @pytest.mark.parametrize(
        ("status", "outcome"), [("500 No", "refused"), ("404 Not Found", "refused"), ("410 Gone", "gone")]
    )
    def test_that_do_not_accept_it(self, status: str, outcome: str) -> None:
        text = "<script>alert(1)</script>\n\x1b[31mred\x00"
        receipt, _ = answered(always(http(text, status)))
        assert (receipt.outcome, receipt.detail) == (outcome, status)
        assert receipt.text == "<script>alert(1)</script>\n\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"

    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
    def test_a_redirect_is_not_followed(self, status: str) -> None:
        with serving(always(http(""))) as elsewhere:
            to = f"Location: {elsewhere.url}/x\r\n"
            receipt, _ = answered(always(http("", status, to)))
            assert receipt.outcome == "refused"
            assert "redirects are not followed" in receipt.detail
            assert elsewhere.connections == 0

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("120", 120.0),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
            ("soon", None),
            ("-5", None),
            ("9" * 400, 999999999.0),
        ],
    )
    def test_when_a_receiver_would_like_it_again(self, header: str, seconds: float | None) -> None:
        receipt, _ = answered(always(http("", "503 Busy", f"Retry-After: {header}\r\n")))
        assert receipt.retry_after == seconds

    def test_of_a_huge_one_the_beginning_is_read(self) -> None:
        def script(server: ScriptedServer, connection: object, request: object) -> bool:
            begin = b"HTTP/1.1 500 No\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100_000
            connection.sendall(begin)  # type: ignore[attr-defined]
            return server.stopping.wait() and False

        receipt, _ = answered(script)
        assert receipt.text == "x" * LONGEST_ANSWER

    def test_headers_without_end_are_an_error(self) -> None:
        receipt, _ = answered(always(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000))
        assert (receipt.outcome, receipt.detail) == ("unreachable", "The answer is not valid HTTP.")

    def test_a_connection_that_ends_without_one(self) -> None:
        receipt, _ = answered(lambda *_: False)
        assert receipt.detail == "The connection was closed before there was an answer."

    def test_nobody_there(self) -> None:
        assert send(f"http://127.0.0.1:{free_port()}/").detail == "The connection was refused."


class TestTime:
    @pytest.mark.parametrize("part", [part for part in TRICKLES if part not in ("body", "chunk size")])
    def test_a_receiver_that_trickles_has_no_more_of_it(self, part: str) -> None:
        receipt, _ = answered(TRICKLES[part], timeout=SOON)
        assert (receipt.outcome, receipt.detail) == ("unreachable", "There was no answer within 0.3 seconds.")

    def test_nor_one_that_is_silent(self) -> None:
        receipt, _ = answered(hang, timeout=SOON)
        assert receipt.detail == "There was no answer within 0.3 seconds."

    def test_nor_one_that_does_not_begin_with_tls(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:  # which takes the connection, and nobody looks at it
            receipt = send(f"https://127.0.0.1:{listener.getsockname()[1]}/", SOON)
        assert receipt.detail == "There was no answer within 0.3 seconds."

    def test_of_an_answer_that_has_begun_the_status_counts(self) -> None:
        accepted, _ = answered(TRICKLES["body"], timeout=SOON)
        assert accepted.outcome == "accepted"
        refused = trickling(b"HTTP/1.1 500 No\r\nContent-Length: 5000\r\n\r\n", b"x")
        receipt, _ = answered(refused, timeout=SOON)
        assert (receipt.outcome, receipt.status) == ("refused", 500)
        assert set(receipt.text) == {"x"}


class TestWhere:
    """Only where it may go: by the address that is connected to, each time."""

    def test_a_name_that_leads_inside_is_not_followed(self) -> None:
        with serving(always(http(""))) as server:
            port = server.listener.getsockname()[1]
            for address in ("127.0.0.1", "::1", "10.0.0.7", "169.254.169.254", "::ffff:127.0.0.1"):
                url = f"https://crm.example.com:{port}/"
                receipt = send(url, destinations=Destinations(()), resolve=lambda *_, to=address: [to])
                assert receipt.outcome == "unreachable"
                assert f"leads to {address}" in receipt.detail
            assert server.connections == 0

    def test_a_name_is_looked_up_once_and_judged_each_time(self) -> None:
        """It led to the Internet when the webhook was made, and leads inside now (DNS rebinding)."""
        asked: list[tuple[str, int]] = []

        def resolve(host: str, port: int) -> list[str]:
            asked.append((host, port))
            return ["93.184.216.34", "192.168.0.1"]

        url = "https://crm.example.com/hooks"
        assert Destinations(()).fault(url) is None
        receipt = send(url, destinations=Destinations(()), resolve=resolve)
        assert "leads to 192.168.0.1" in receipt.detail, "one of several is enough"
        assert asked == [("crm.example.com", 443)]

    def test_the_connection_goes_to_the_address_that_was_judged(self) -> None:
        with serving(always(http(""))) as server:
            port = server.listener.getsockname()[1]
            receipt = send(f"http://crm.example.com:{port}/", resolve=lambda *_: ["127.0.0.1"])
            assert receipt.outcome == "accepted"
            assert server.requests[0].headers["host"] == f"crm.example.com:{port}"

    @pytest.mark.parametrize("url", ["http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://localhost/"])
    def test_other_ways_to_write_an_address_inside(self, url: str) -> None:
        receipt = send(url, destinations=Destinations(()))
        assert "leads to" in receipt.detail or "cannot be resolved" in receipt.detail

    def test_a_name_that_nobody_has(self) -> None:
        receipt = send("https://no-such-name.invalid/")
        assert receipt.detail == "The name no-such-name.invalid cannot be resolved."
        assert send("https://a.example/", resolve=lambda *_: []).detail == "The name a.example has no address."

    def test_without_tls_only_where_the_operator_says(self) -> None:
        receipt = send("http://crm.example.com/", resolve=lambda *_: ["93.184.216.34"])
        assert "without TLS" in receipt.detail


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[ScriptedServer]:
    """A server with a certificate for 127.0.0.1."""
    pair = authority.pair("receiver")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with serving(always(http("no", "500 No"), keep_open=False), tls=context) as server:
        yield server


class TestTls:
    def test_with_whom_is_trusted(self, secured: ScriptedServer, authority: Authority) -> None:
        receipt = send(secured.url, certificates=authority.cert)
        assert (receipt.status, receipt.text) == (500, "no")

    def test_with_whom_is_not(self, secured: ScriptedServer) -> None:
        receipt = send(secured.url)
        assert receipt.detail.startswith("The receiver's certificate is not valid: ")

    def test_with_another_than_the_address_names(self, secured: ScriptedServer, authority: Authority) -> None:
        port = secured.listener.getsockname()[1]
        options = {"certificates": authority.cert, "resolve": lambda *_: ["127.0.0.1"]}
        receipt = send(f"https://crm.example.com:{port}/", **options)
        assert "certificate is not valid" in receipt.detail
        assert "crm.example.com" in receipt.detail

    def test_with_whom_speaks_something_else(self) -> None:
        def greet(listener: socket.socket) -> None:
            with listener.accept()[0] as connection:
                connection.sendall(b"220 mail.example.com ESMTP\r\n" * 10)
                connection.recv(10_000)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=greet, args=[listener])
            thread.start()
            receipt = send(f"https://127.0.0.1:{listener.getsockname()[1]}/")
            thread.join()
        assert receipt.detail == "The receiver does not speak TLS as it should."


_BYTES = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=100).map(lambda rest: b"HTTP/1.1 " + rest),
    st.binary(max_size=100).map(lambda rest: b"HTTP/1.1 503 \xff\r\n" + rest + b"\r\n\r\n"),
    st.binary(max_size=100).map(lambda rest: b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n" + rest),
    st.binary(max_size=100).map(lambda rest: b"HTTP/1.1 500 No\r\nRetry-After: " + rest + b"\r\n\r\n"),
)


def test_whatever_bytes_it_answers_no_error_comes_of_it() -> None:
    answer = b""

    def script(server: ScriptedServer, connection: object, request: object) -> bool:
        connection.sendall(answer)  # type: ignore[attr-defined]
        return False

    with serving(script) as server:

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_BYTES)
        def judged(given_bytes: bytes) -> None:
            nonlocal answer
            answer = given_bytes
            receipt = send(server.url)
            assert receipt.outcome in ("accepted", "refused", "gone", "unreachable")
            assert receipt.detail
            assert all(letter.isprintable() or letter in "\n\t" for letter in receipt.detail + receipt.text)

        judged()
