"""The local host as a server: requests and responses, routes, the log, keys and the admin API."""

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local.host import HostStartError, LocalHost

SAMPLE = Path(__file__).parents[1] / "host_app"


KEY = "a-key"


FIRE = {"input": ""}


@pytest.fixture(scope="module")
def host() -> Iterator[LocalHost]:
    with LocalHost(SAMPLE, timers=False) as running:
        yield running


@pytest.fixture(scope="module")
def locked() -> Iterator[LocalHost]:
    with LocalHost(SAMPLE, key=KEY, timers=False) as running:
        yield running


def raw_exchange(host: LocalHost, *parts: bytes) -> bytes:
    """Send each part, and read a response after it. Return all bytes until the connection is closed."""
    port = int(host.url.rpartition(":")[2])
    answered = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            answered += connection.recv(65536)
        while piece := connection.recv(65536):
            answered += piece
    return answered


class TestWhatAFunctionSees:
    def test_route_values_are_decoded_and_literals_match_in_any_case(self, host: LocalHost) -> None:
        seen = requests.get(f"{host.url}/API/Echo/a%3Ab%20c%2Fd", timeout=10).json()
        assert seen["route"] == {"name": "a:b c%2Fd"}
        assert seen["url"] == f"{host.url}/API/Echo/a:b%20c%2Fd"

    def test_empty_query_values_are_dropped_and_repeated_ones_joined(self, host: LocalHost) -> None:
        seen = requests.get(f"{host.url}/api/echo/x?a=1&A=2&b=&c=%20+%26", timeout=10).json()
        assert seen["query"] == {"a": "1,2", "c": "  &"}
        assert seen["url"].endswith("/api/echo/x?a=1&A=2&b=&c=%20+%26")

    def test_header_names_are_lower_case_and_repeated_ones_joined(self, host: LocalHost) -> None:
        answer = raw_exchange(
            host, b"GET /api/echo/x HTTP/1.1\r\nHost: h:1\r\nX-Two: 1\r\nx-TWO: 2\r\nConnection: close\r\n\r\n"
        )
        seen = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert seen["headers"]["x-two"] == "1,2"
        assert seen["url"] == "http://h:1/api/echo/x"

    def test_a_chunked_body_arrives_whole(self, host: LocalHost) -> None:
        seen = requests.post(f"{host.url}/api/echo/x", data=iter([b"one ", b"two"]), timeout=10).json()
        assert (seen["method"], seen["body"]) == ("POST", "one two")

    def test_a_post_without_any_body_is_fine(self, host: LocalHost) -> None:
        answer = raw_exchange(host, b"POST /api/echo/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["body"] == ""

    def test_a_client_that_waits_for_100_continue_gets_it(self, host: LocalHost) -> None:
        head = b"PUT /api/mirror HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
        answer = raw_exchange(host, head + b"Connection: close\r\n\r\n", b"body")
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")
        assert answer.endswith(b"\r\n\r\nbody")

    def test_an_async_function_gets_its_context(self, host: LocalHost) -> None:
        answer = requests.get(f"{host.url}/api/greeting", timeout=10)
        assert answer.text == "hello from greeting, 36"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


class TestWhatACallerGets:
    def test_binary_bodies_come_back_byte_for_byte(self, host: LocalHost) -> None:
        content = bytes(range(256)) * 5000
        answer = requests.put(f"{host.url}/api/mirror", data=content, timeout=10)
        assert (answer.status_code, answer.content) == (201, content)
        assert answer.headers["x-size"] == str(len(content))
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.cookies["seen"] == "1"

    @pytest.mark.parametrize(
        ("method", "path", "reason"),
        [
            ("DELETE", "/api/echo/x", "a wrong method"),
            ("HEAD", "/api/echo/x", "HEAD on a GET route"),
            ("BREW", "/api/echo/x", "a method nobody knows"),
            ("GET", "/echo/x", "without the prefix"),
            ("GET", "/api/echo/", "an empty route value"),
            ("GET", "/api/numbers/one", "a failed constraint"),
            ("GET", "/admin/other", "an unknown admin address"),
        ],
    )
    def test_what_no_route_takes_is_an_empty_404(self, host: LocalHost, method: str, path: str, reason: str) -> None:
        answer = requests.request(method, host.url + path, timeout=10)
        assert (answer.status_code, answer.content) == (404, b""), reason

    def test_of_overlapping_routes_the_first_by_name_answers(self, host: LocalHost) -> None:
        assert requests.get(f"{host.url}/api/overlap/fixed", timeout=10).text == "the parameter"
        assert requests.delete(f"{host.url}/api/overlap/fixed", timeout=10).text == "the literal"

    @pytest.mark.parametrize("route", ["broken", "unanswered", "split"])
    def test_a_failing_function_is_an_empty_500(
        self, host: LocalHost, route: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = requests.get(f"{host.url}/api/{route}?secret=x", timeout=10)
        assert (answer.status_code, answer.content) == (500, b"")
        assert "Traceback" in caplog.text
        assert "secret" not in caplog.text

    def test_a_204_has_neither_body_nor_length(self, host: LocalHost) -> None:
        answer = raw_exchange(host, b"GET /api/empty HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 204 ")
        assert answer.endswith(b"\r\n\r\n")
        assert b"content-length" not in answer.lower()

    def test_a_connection_is_kept_between_requests(self, host: LocalHost) -> None:
        get = b"GET /api/numbers/%d/ HTTP/1.1\r\nHost: h\r\n"
        answer = raw_exchange(host, get % 7 + b"\r\n", get % 8 + b"Connection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert b"\r\n\r\n7HTTP/1.1" in answer
        assert answer.endswith(b"\r\n\r\n8")

    def test_the_root_answers_like_a_host_without_a_home_page(self, host: LocalHost) -> None:
        assert requests.get(host.url, timeout=10).status_code == 204

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (b"Content-Length: 104857601", b"413"),
            (b"Content-Length: -1", b"400"),
            (b"Transfer-Encoding: gzip", b"400"),
            (b"X-Text: \xff", b"400"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, host: LocalHost, head: bytes, status: bytes) -> None:
        answer = raw_exchange(host, b"PUT /api/mirror HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.endswith(b"\r\n\r\n")

    def test_the_log_names_function_status_and_time_only(
        self, host: LocalHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "local.host"):
            requests.get(f"{host.url}/api/numbers/1?code=secret", headers={"X-A": "hidden"}, timeout=10)
        line = caplog.messages[-1]
        assert line.startswith("number 200 ")
        assert line.endswith(" ms")
        assert "secret" not in caplog.text
        assert "hidden" not in caplog.text


class TestKeys:
    @pytest.mark.parametrize(
        ("headers", "query", "status"),
        [
            ({}, "", 401),
            ({"x-functions-key": "wrong"}, "", 401),
            ({}, "?code=wrong", 401),
            ({}, f"?code={KEY}", 200),
            ({"X-Functions-Key": KEY}, "", 200),
            ({"x-functions-key": KEY}, "?code=wrong", 200),
            ({"x-functions-key": "wrong"}, f"?code={KEY}", 401),
            ({"x-functions-key": "schlüssel".encode()}, "", 401),
        ],
    )
    def test_the_header_beats_the_query(
        self, locked: LocalHost, headers: dict[str, str], query: str, status: int
    ) -> None:
        answer = requests.get(f"{locked.url}/api/greeting{query}", headers=headers, timeout=10)
        assert answer.status_code == status
        assert status == 200 or answer.content == b""

    def test_an_anonymous_function_needs_none(self, locked: LocalHost) -> None:
        assert requests.put(f"{locked.url}/api/mirror", timeout=10).status_code == 201

    def test_an_unknown_route_is_404_even_without_a_key(self, locked: LocalHost) -> None:
        assert requests.get(f"{locked.url}/api/nothing", timeout=10).status_code == 404

    def test_the_admin_api_needs_it(self, locked: LocalHost) -> None:
        url = f"{locked.url}/admin/functions/new_year"
        assert requests.post(url, json=FIRE, timeout=10).status_code == 401
        assert requests.post(url, json=FIRE, headers={"x-functions-key": KEY}, timeout=10).status_code == 202

    def test_an_empty_key_is_refused(self) -> None:
        with pytest.raises(HostStartError, match="empty key"):
            LocalHost(SAMPLE, key="")
