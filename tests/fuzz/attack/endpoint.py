"""The model's endpoint as an HTTP server of its own, which says what `replies` draws."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.fuzz.draws.replies import CUT, RESET, Reply, reply


@dataclass
class Endpoint:
    base_url: str
    asked: int = 0


@contextmanager
def endpoint(seed: int) -> Iterator[Endpoint]:
    """Serves in threads of its own for as long as the block lasts."""
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server: ThreadingHTTPServer

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            served.asked += 1
            said = reply(seed, json.loads(body))
            ending.wait(said.after_s)
            try:
                self._send(said)
            except OSError:
                self.close_connection = True  # the agent has given up meanwhile

        def _send(self, said: Reply) -> None:
            if said.end == RESET:
                self.close_connection = True
                return
            self.send_response_only(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            if said.end == CUT:
                self.wfile.write(said.body[: len(said.body) // 2])
                self.close_connection = True
                return
            self.wfile.write(said.body)

        def do_GET(self) -> None:
            self._send(Reply(b'{"object": "list", "data": []}'))

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: the agents' logs say it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """A connection that an agent has closed is no fault."""

    server = Server(("127.0.0.1", 0), Handler)
    served = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, name="endpoint", daemon=True)
    thread.start()
    try:
        yield served
    finally:
        ending.set()
        server.shutdown()
        thread.join()
        server.server_close()
