"""A hub on this machine: it answers HEAD and GET of files as the Hugging Face hub does, and its errors too."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GATED, BROKEN = "acme/gated", "acme/broken"


class HubServer(ThreadingHTTPServer):
    """Serve ``files`` (``"owner/name/filename"`` -> bytes); ``requests`` lists what was requested."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files = files
        self.requests: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        repo, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, filename = rest.partition("/")
        body = self.server.files.get(f"{repo}/{filename}")
        known = any(name.startswith(f"{repo}/") for name in self.server.files)
        refusals = (
            (repo == GATED, 403, "GatedRepo"),
            (repo == BROKEN, 500, ""),
            (not known, 401, "RepoNotFound"),
            (revision not in ("main", COMMIT), 404, "RevisionNotFound"),
            (body is None, 404, "EntryNotFound"),
        )
        for refused, status, code in refusals:
            if refused:
                return self.give(status, b"", {"X-Error-Code": code, "X-Error-Message": code})
        assert body is not None
        return self.give(200, body, {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT})

    def give(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[HubServer]:
    """Run a hub of these files."""
    server = HubServer(files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
