"""A file server on loopback that fails as told, to see what a download makes of it."""

import http.server
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


class FaultyServer:
    """Serves one file; each request takes the next of its faults, and the last one repeats.

    Args:
        data: the file's bytes.
        faults: of `KINDS`, or "" for none.
        cut: after how many bytes of an answer a "cut" one ends, by the number of the request.

    Attributes:
        requests: the ranges that were asked for, "" for the whole file.
        sent: how many bytes of bodies were sent.
    """

    KINDS = ("cut", "wrong bytes", "slow", "redirect", "404", "wrong length")

    def __init__(
        self, data: bytes, faults: Sequence[str] = ("",), *, cut: Callable[[int], int] = lambda n: 1000
    ) -> None:
        self.data, self.faults, self.cut = data, list(faults), cut
        self.requests: list[str] = []
        self.sent = 0
        self.address = ""
        self.stopping = threading.Event()

    def next_fault(self) -> str:
        return self.faults.pop(0) if len(self.faults) > 1 else self.faults[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faulty: FaultyServer

    def do_GET(self) -> None:
        server, self.close_connection = self.faulty, True
        if self.path.startswith("/moved"):
            self._redirect("/file.txt")
            return
        if self.path.startswith("/loop"):
            self._redirect("/loop")
            return
        number, fault = len(server.requests), server.next_fault()
        server.requests.append(self.headers.get("Range", ""))
        if fault == "404":
            self.send_error(404)
        elif fault == "500":
            self.send_error(503)
        elif fault == "redirect":
            self._redirect("/loop")
        elif fault == "not http":
            self.wfile.write(b"\x00\x01 nothing of the sort\r\n\r\n")
        else:
            self._send(fault, number)

    def _redirect(self, path: str) -> None:
        self.send_response(302)
        self.send_header("Location", path)
        self.send_header("Connection", "close")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, fault: str, number: int) -> None:
        server, asked = self.faulty, self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and fault != "no ranges" else 0
        data = server.data[start:]
        if fault == "wrong bytes":
            data = bytes(255 - byte for byte in data)
        elif fault == "wrong length":
            data += b"more"
        self.send_response(206 if start else 200)
        self.send_header("Connection", "close")
        if start:
            first = start + 1 if fault == "wrong range" else start
            self.send_header("Content-Range", f"bytes {first}-{len(server.data) - 1}/{len(server.data)}")
        if fault != "no length":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault in ("cut", "slow"):
            data = data[: server.cut(number)]
        elif fault == "no length":
            data += b"more"
        try:
            self.wfile.write(data)
            server.sent += len(data)
            self.wfile.flush()
            if fault == "slow":
                server.stopping.wait(30)
        except OSError:
            pass

    def log_message(self, *args: object) -> None:
        pass


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def serving(server: FaultyServer) -> Iterator[FaultyServer]:
    """Runs the server; `server.address` is the file's."""
    handler = type("Handler", (_Handler,), {"faulty": server})
    listener = _Quiet(("127.0.0.1", 0), handler)
    server.address = f"http://127.0.0.1:{listener.server_address[1]}/file.txt"
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        listener.shutdown()
        listener.server_close()
        thread.join()
