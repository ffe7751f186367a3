from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from services.cli import remote
from shared.errors import HutchError
from shared.settings.gateway_address import GatewayAddress


@contextmanager
def answering(*chunks: bytes) -> Iterator[GatewayAddress]:
    """A server that answers with these chunks of a stream, and then cuts the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield GatewayAddress(f"http://127.0.0.1:{server.server_port}", None)
        finally:
            server.shutdown()
            serving.join()


def test_the_exit_code_is_that_of_the_command(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with answering(b'{"stdout": "a\\n"}\n', b"\n", b'{"exit": 3}\n') as gateway:
        assert remote.execute(gateway, ["agents"]) == 3


@pytest.mark.parametrize("last", [b"", b'{"stdout": "al', b"<html>"])
def test_a_stream_that_is_cut_off_anywhere_ends_with_a_sentence(last: bytes) -> None:
    with (
        answering(b'{"stdout": ""}\n', *([last] if last else [])) as gateway,
        pytest.raises(HutchError, match="gateway"),
    ):
        remote.execute(gateway, ["agents"])
