"""A small HTTP server that answers as servers do, good and bad ones."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Served:
    """Files by path, and how they are served."""

    files: dict[str, bytes] = field(default_factory=dict)  # by path ("/a.tar")
    ranges: bool = True  # whether parts are sent
    tag: str = "etag"  # what a changed file does not have: "etag", "weak", "date" or "none"
    cuts: list[int] = field(default_factory=list)  # bytes after which each of the next answers is cut off
    statuses: list[int] = field(default_factory=list)  # what the next answers are instead of files
    headers: dict[str, str] = field(default_factory=dict)  # further headers of all answers
    length: bool = True  # whether answers have a Content-Length
    midway: Callable[[], None] | None = None  # called when half of the next answer is sent
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # each request's path and Range header
    url: str = ""

    def validators(self, content: bytes) -> dict[str, str]:
        digest = hashlib.sha1(content).hexdigest()
        date = f"Mon, 01 Jan 2024 00:00:{int(digest[:2], 16) % 60:02d} GMT"
        kinds = {"etag": {"ETag": f'"{digest}"'}, "weak": {"ETag": f'W/"{digest}"'}, "date": {"Last-Modified": date}}
        return kinds.get(self.tag, {})

    @property
    def ranges_asked(self) -> list[str | None]:
        return [range_ for _, range_ in self.asked]


class Server:
    """Serves while it is open: ``with Server() as served``."""

    def __enter__(self) -> Served:
        served = Served()

        class Handler(_Handler):
            site = served

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        served.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return served

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Served
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site = self.site
        site.asked.append((self.path, self.headers.get("Range")))
        self.close_connection = True
        if site.statuses:
            return self._send(site.statuses.pop(0), {"Content-Length": "0"}, b"")
        content = site.files.get(self.path)
        if content is None:
            return self._send(404, {"Content-Length": "0"}, b"")
        validators = site.validators(content)
        start = self._start(validators)
        if start is not None and start >= len(content):
            return self._send(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}, b"")
        headers = validators | site.headers
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start or 0 :]
        if site.length:
            headers["Content-Length"] = str(len(body))
        if site.cuts:
            body = body[: site.cuts.pop(0)]
        return self._send(200 if start is None else 206, headers, body)

    def _start(self, validators: dict[str, str]) -> int | None:
        """Return where a part starts that may be sent; an If-Range of another version gets the whole file."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match is None or not self.site.ranges:
            return None
        if_range = self.headers.get("If-Range")
        return int(match[1]) if if_range is None or if_range in validators.values() else None

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        with suppress(ConnectionError):  # whoever asked has seen enough
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            midway, self.site.midway = self.site.midway, None
            if midway is not None:
                midway()
            self.wfile.write(body[len(body) // 2 :])

    def log_message(self, *_: Any) -> None:
        pass


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files below a folder, by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
