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
CONTENT = np.random.default_rng(0).bytes(3_000_000)
CHANGED = np.random.default_rng(1).bytes(3_000_000)


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


@pytest.mark.parametrize("tag", ["etag", "date"])
def test_a_lost_connection_is_gone_on_with(served: Served, part: Path, tag: str) -> None:
    served.tag, served.cuts = tag, [16 * CHUNK + 10, 8 * CHUNK + 10]
    notes = Notes()
    get(served, part, notes=notes)
    assert part.read_bytes() == CONTENT
    assert served.ranges_asked == [None, f"bytes={16 * CHUNK}-", f"bytes={24 * CHUNK}-"]
    assert notes.lines == [
        f"the connection to 127.0.0.1 was lost after {done}; trying again in 0 s" for done in ("1.0 MB", "1.6 MB")
    ]


def test_a_later_call_goes_on(served: Served, part: Path) -> None:
    served.cuts = [32 * CHUNK, 0, 0, 0, 0]
    with pytest.raises(DataError, match=r"4 attempts failed\. The 2.1 MB that are there are kept") as error:
        get(served, part)
    assert f"put it there as {part.with_suffix('')}" in str(error.value)
    served.asked.clear()
    served.cuts.clear()
    get(served, part)
    assert part.read_bytes() == CONTENT
    assert served.ranges_asked == [f"bytes={32 * CHUNK}-"]


@pytest.mark.parametrize("tag", ["etag", "weak", "none"])
def test_a_server_without_parts_sends_it_again(served: Served, part: Path, tag: str) -> None:
    served.ranges, served.cuts, served.tag = False, [32 * CHUNK, 40 * CHUNK], tag
    get(served, part)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("tag", ["weak", "none"])
def test_what_cannot_be_told_from_a_changed_file_is_not_gone_on_with(served: Served, part: Path, tag: str) -> None:
    served.tag, served.cuts = tag, [32 * CHUNK]
    get(served, part)
    assert part.read_bytes() == CONTENT
    assert served.ranges_asked == [None, None]


@pytest.mark.parametrize("tag", ["etag", "date"])
@pytest.mark.parametrize("size", [3_000_000, 32 * CHUNK, 1_500_000])
def test_a_changed_file_is_never_spliced(served: Served, part: Path, tag: str, size: int) -> None:
    served.tag, served.cuts = tag, [32 * CHUNK, 0, 0, 0]
    with pytest.raises(DataError):
        get(served, part)
    served.files["/f.bin"] = CHANGED[:size]
    served.cuts.clear()
    get(served, part)
    assert part.read_bytes() == CHANGED[:size]


@pytest.mark.parametrize("size", [3_000_000, 1_500_000])
def test_a_server_that_ignores_if_range_is_not_trusted(served: Served, part: Path, size: int, monkeypatch) -> None:
    served.cuts = [32 * CHUNK, 0, 0, 0]
    with pytest.raises(DataError):
        get(served, part)
    served.files["/f.bin"] = CHANGED[:size]
    served.cuts.clear()
    monkeypatch.setattr("file_server._Handler._start", _ignoring_if_range)
    get(served, part)
    assert part.read_bytes() == CHANGED[:size]


def _ignoring_if_range(handler, validators: dict[str, str]) -> int | None:
    asked = handler.headers.get("Range")
    return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else None


def test_a_connection_lost_where_only_the_published_size_is_known(served: Served, part: Path) -> None:
    """Without a length in the answer, its end looks like the file's."""
    served.length, served.cuts = False, [16 * CHUNK]
    get(served, part, size=len(CONTENT))
    assert part.read_bytes() == CONTENT
    assert served.ranges_asked == [None, f"bytes={16 * CHUNK}-"]


def test_a_web_page_is_not_the_file(served: Served, part: Path) -> None:
    served.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(DataError, match="web page"):
        get(served, part)


def test_a_busy_server_is_asked_again(served: Served, part: Path) -> None:
    served.statuses = [503, 429, 500]
    notes = Notes()
    get(served, part, notes=notes)
    assert part.read_bytes() == CONTENT
    assert [line.split(": ")[1] for line in notes.lines] == [
        f"the server answers {status}; trying again in 0 s"
        for status in ("503 Service Unavailable", "429 Too Many Requests", "500 Internal Server Error")
    ]


@pytest.mark.parametrize(("status", "said"), [(404, "not there"), (403, "does not allow"), (401, "account"), (410, "")])
def test_a_refusal_is_told_at_once(served: Served, part: Path, status: int, said: str) -> None:
    served.statuses = [status]
    with pytest.raises(DataError, match=rf"/f\.bin: the server answers {status} .*{said}.*url=URL"):
        get(served, part)
    assert len(served.asked) == 1
    assert not part.exists()


def test_another_size_than_the_published_one_is_told_before_it_is_downloaded(served: Served, part: Path) -> None:
    with pytest.raises(DataError, match=r"has 3000000 bytes, but the published file has 3000001.*checksum=false"):
        get(served, part, size=len(CONTENT) + 1)
    assert not part.exists()


def test_nobody_there(served: Served, part: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError, match=r"the connection to 127\.0\.0\.1 was refused; 4 attempts failed\. Where this"):
        fetch(f"http://127.0.0.1:{port}/f.bin", part, size=None, watcher=Silent())


def test_passwords_are_not_shown_or_stored(served: Served, part: Path) -> None:
    url = served.url.replace("http://", "http://user:secret@")
    served.files["/f.bin?key=hidden"] = CONTENT
    served.cuts = [2 * CHUNK, 0, 0, 0]
    with pytest.raises(DataError) as error:
        fetch(f"{url}/f.bin?key=hidden", part, size=None, watcher=Silent())
    served.cuts.clear()
    for text in (str(error.value), part.with_name("f.bin.part.json").read_text()):
        assert "secret" not in text
        assert "hidden" not in text


def test_a_disk_that_is_too_small(served: Served, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(part.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2_999_999))
    with pytest.raises(DataError, match=r"f\.bin needs 3\.0 MB, but the disk of .* has 3\.0 MB free"):
        get(served, part)
    assert not part.exists()


def test_a_full_disk_keeps_what_there_is(served: Served, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetching.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            get(served, part)
    get(served, part)
    assert part.read_bytes() == CONTENT
