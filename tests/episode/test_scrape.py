"""The page answers those who ask properly, whatever the others do."""

import http.client
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from vla_runtime.episode.exposition import CONTENT_TYPE
from vla_runtime.episode.scrape import ScrapePage

TEXT = b"# HELP a b\n# TYPE a gauge\na 1\n"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def page(listener):
    page = ScrapePage(listener, patience_s=0.3)
    page.text = TEXT
    yield page
    page.close()


def get(listener, path="/metrics", method="GET"):
    connection = http.client.HTTPConnection(*listener.getsockname(), timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def eventually(answer, timeout_s=20.0):
    """``answer()`` as soon as it does not fail."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            return answer()
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=a"])
def test_the_page_is_the_newest_text(page, listener, path):
    assert get(listener, path) == (200, CONTENT_TYPE, TEXT)
    page.text = b"other\n"
    assert get(listener, path) == (200, CONTENT_TYPE, b"other\n")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 404), ("/metricsx", "GET", 404), ("/metrics", "POST", 501), ("/metrics", "DELETE", 501)],
)
def test_nothing_else_is_served(page, listener, path, method, status):
    assert get(listener, path, method)[0] == status
    assert get(listener)[0] == 200


def test_clients_that_say_nothing_or_do_not_read_are_cut_off_and_the_others_served(page, listener):
    page.text = bytes(50_000_000)  # more than any buffer between the two holds
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(4)]
        deaf = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(4)]
        for client in deaf:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        for client in silent:
            client.settimeout(20)
            assert client.recv(1) == b""
        page.text = TEXT
        assert eventually(lambda: get(listener)) == (200, CONTENT_TYPE, TEXT)


def test_more_clients_than_there_is_room_for_are_turned_away_and_take_no_thread(page, listener):
    page.patience_s = 60
    before = threading.active_count()
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(40)]
        for client in clients:
            client.settimeout(20)
        turned_away = 0
        for client in clients[8:]:
            turned_away += client.recv(1) == b""
        assert turned_away == 32
        assert threading.active_count() - before <= 8
    assert eventually(lambda: get(listener))[0] == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"A" * 70_000,
        b"GET /metrics HTTP/1.0\r\n" + b"x: y\r\n" * 200 + b"\r\n",
    ],
)
def test_garbage_brings_nothing_down(page, listener, garbage, capfd):
    with socket.create_connection(listener.getsockname()) as client:
        client.settimeout(20)
        try:
            client.sendall(garbage)
            while client.recv(65536):
                pass
        except OSError:
            pass  # the page hung up on us
    assert eventually(lambda: get(listener))[0] == 200
    assert capfd.readouterr() == ("", "")
