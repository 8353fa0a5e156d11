"""The page that a Prometheus server reads, served by a thread of a process that may be late: never the loop's."""

from __future__ import annotations

import http.server
import socket
import threading

from vla_runtime.episode.exposition import CONTENT_TYPE

__all__ = ["ScrapePage"]

_MOST_CLIENTS = 8
_PATIENCE_S = 5.0


class ScrapePage:
    """Serves ``text`` at ``/metrics`` on the listening socket ``listener``, from a thread, until ``close``.

    A client that neither asks nor reads is cut off after ``patience_s``; more than 8 at once are sent away.
    """

    def __init__(self, listener: socket.socket, patience_s: float = _PATIENCE_S) -> None:
        self.text = b""
        self.patience_s = patience_s
        self._server = _Server(listener, self)
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """End the thread and the socket; clients that are still here are cut off in their time."""
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, listener: socket.socket, page: ScrapePage) -> None:
        self.address_family = listener.family
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.page = page
        self._free = threading.Semaphore(_MOST_CLIENTS)

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def verify_request(self, request: object, client_address: object) -> bool:
        return self._free.acquire(blocking=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left early or sent garbage is its own affair."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server_version, sys_version = "vla-runtime", ""
    server: _Server

    def setup(self) -> None:
        self.timeout = self.server.page.patience_s
        super().setup()

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, explain="the metrics are at /metrics")
            return
        text = self.server.page.text
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal is the run's."""
