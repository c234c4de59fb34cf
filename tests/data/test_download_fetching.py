"""One file over HTTP: from servers that resume, that do not, that break off, and that change their files."""

from __future__ import annotations

import errno
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_server import Served, Server

from transkd.data.download import Silent
from transkd.data.download import fetch as fetching
from transkd.data.download.fetch import fetch
from transkd.errors import DataError

CHUNK = 1 << 16
CONTENT = np.random.default_rng(0).bytes(1_000_000)
CHANGED = np.random.default_rng(1).bytes(1_000_000)


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(fetching, "PAUSES", (0.0,) * 3)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        server.files["/f.bin"] = CONTENT
        yield server


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "f.bin.part"


def get(served: Served, part: Path, size: int | None = None, notes: Notes | None = None) -> None:
    fetch(f"{served.url}/f.bin", part, size=size, watcher=notes or Notes())


def begin(served: Served, part: Path) -> None:
    """Download a part, until the connection is lost again and again."""
    served.cuts = [8 * CHUNK, 0, 0, 0]
    with pytest.raises(
        DataError, match=r"the connection (was lost|failed) after 524\.3 kB; 4 attempts failed"
    ) as error:
        get(served, part)
    assert f"put it there as {part.with_suffix('')}" in str(error.value)
    served.cuts.clear()
    served.asked.clear()


@pytest.mark.parametrize("tag", ["etag", "date"])
def test_a_lost_connection_is_resumed(served: Served, part: Path, tag: str) -> None:
    served.tag, served.cuts = tag, [5 * CHUNK + 10, 3 * CHUNK + 10]
    notes = Notes()
    get(served, part, notes=notes)
    assert part.read_bytes() == CONTENT
    assert served.ranges_asked == [None, f"bytes={5 * CHUNK}-", f"bytes={8 * CHUNK}-"]
    assert [line.split(" after ")[1] for line in notes.lines] == [
        f"{done} kB; trying again in 0 s" for done in ("327.7", "524.3")
    ]


def test_a_later_call_resumes(served: Served, part: Path) -> None:
    begin(served, part)
    get(served, part)
    assert part.read_bytes() == CONTENT
    assert served.ranges_asked == [f"bytes={8 * CHUNK}-"]


@pytest.mark.parametrize(("tag", "ranges"), [("etag", False), ("none", False), ("weak", True), ("none", True)])
def test_what_cannot_be_resumed_is_sent_again(served: Served, part: Path, tag: str, ranges: bool) -> None:
    """By servers without parts, and by those that give nothing to recognise a changed file by."""
    served.ranges, served.cuts, served.tag = ranges, [8 * CHUNK, 9 * CHUNK], tag
    get(served, part)
    assert part.read_bytes() == CONTENT
    assert tag == "etag" or served.ranges_asked == [None] * 3


@pytest.mark.parametrize("ignoring", [False, True])
@pytest.mark.parametrize("tag", ["etag", "date"])
@pytest.mark.parametrize("size", [1_000_000, 8 * CHUNK, 400_000])
def test_a_changed_file_is_never_spliced(
    served: Served, part: Path, tag: str, size: int, ignoring: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by servers that ignore If-Range."""
    served.tag = tag
    begin(served, part)
    served.files["/f.bin"] = CHANGED[:size]
    if ignoring:
        monkeypatch.setattr("file_server._Handler._start", _ignoring_if_range)
    get(served, part)
    assert part.read_bytes() == CHANGED[:size]


def _ignoring_if_range(handler, validators: dict[str, str]) -> int | None:
    asked = handler.headers.get("Range")
    return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else None


def test_a_connection_lost_where_only_the_published_size_is_known(served: Served, part: Path) -> None:
    """Without a length in the answer, its end looks like the file's."""
    served.length, served.cuts = False, [4 * CHUNK]
    get(served, part, size=len(CONTENT))
    assert part.read_bytes() == CONTENT
    assert served.ranges_asked == [None, f"bytes={4 * CHUNK}-"]


def test_a_busy_server_is_asked_again(served: Served, part: Path) -> None:
    served.statuses = [503, 429, 500]
    notes = Notes()
    get(served, part, notes=notes)
    assert part.read_bytes() == CONTENT
    assert [line.rpartition(": ")[2].split(";")[0] for line in notes.lines] == [
        f"the server answers {status}"
        for status in ("503 Service Unavailable", "429 Too Many Requests", "500 Internal Server Error")
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"statuses": [404]}, "the server answers 404 .*not there.*url=URL"),
        ({"statuses": [403]}, "the server answers 403 .*does not allow"),
        ({"statuses": [410]}, "the server answers 410 "),
        ({"headers": {"Content-Type": "text/html; charset=utf-8"}}, "web page"),
        ({}, "has 1000000 bytes, but the published file has 1000001.*checksum=false"),
    ],
)
def test_a_wrong_answer_is_an_error_at_once(served: Served, part: Path, change: dict, message: str) -> None:
    for name, value in change.items():
        setattr(served, name, value)
    with pytest.raises(DataError, match=rf"/f\.bin: .*{message}"):
        get(served, part, size=len(CONTENT) + 1)
    assert len(served.asked) == 1
    assert not part.exists()


def test_no_server(served: Served, part: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError, match=r"/f\.bin: the connection failed; 4 attempts failed\."):
        fetch(f"http://127.0.0.1:{port}/f.bin", part, size=None, watcher=Silent())


def test_passwords_are_not_shown_or_stored(served: Served, part: Path) -> None:
    url = served.url.replace("http://", "http://user:secret@")
    served.files["/f.bin?key=hidden"] = CONTENT
    served.cuts = [2 * CHUNK, 0, 0, 0]
    with pytest.raises(DataError) as error:
        fetch(f"{url}/f.bin?key=hidden", part, size=None, watcher=Silent())
    for text in (str(error.value), part.with_name("f.bin.part.json").read_text()):
        assert "secret" not in text
        assert "hidden" not in text


def test_a_disk_that_is_too_small_or_full(served: Served, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(part.parent)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=999_999))
        with pytest.raises(DataError, match=r"f\.bin needs 1\.0 MB, but the disk of .* free"):
            get(served, part)
        assert not part.exists()
    with monkeypatch.context() as patch:
        patch.setattr(fetching.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            get(served, part)
    get(served, part)
    assert part.read_bytes() == CONTENT
