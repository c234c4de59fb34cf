"""One file over HTTP: resumed where a lost connection or an earlier call stopped, and compared with its checksum."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import requests
from requests import exceptions
from rich.filesize import decimal

from transkd.data.download.unpack import Progress, Watcher, require_space
from transkd.errors import DataError

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further attempt; attempts that bring more of the file begin anew."""

TIMEOUT = (15.0, 60.0)
"""Seconds to wait for a connection, and for more of an answer."""

_TEMPORARY = (408, 416, 425, 429, 500, 502, 503, 504)
_ADVICE = {401: ": it requires an account", 403: ": it does not allow this", 404: ": the file is not there (any more)"}
_REASONS = (  # requests' own messages quote the whole address, with the keys in it
    (exceptions.ProxyError, "the proxy of HTTPS_PROXY or HTTP_PROXY does not answer"),
    (exceptions.SSLError, "the certificate cannot be verified; for a proxy's own, set REQUESTS_CA_BUNDLE=FILE"),
    (exceptions.Timeout, "the server does not answer"),
    (exceptions.RequestException, "the connection failed"),
)
_CHUNK = 1 << 16  # of a lost connection, up to one chunk is lost too


@dataclass(frozen=True)
class RemoteFile:
    """A file that is published."""

    name: str  # its name on disk
    url: str  # its address
    size: int | None = None  # its bytes; None where they are not published
    checksum: str | None = None  # ``"sha256:..."`` or ``"md5:..."``; None where none is published
    # Of an archive that a git server packs anew for each request, and whose bytes may therefore change: the
    # commit, which git writes into such an archive and which vouches for it where the checksum does not fit.
    commit: str | None = None


class _Interrupted(Exception):  # noqa: N818 - another attempt may succeed
    """Why an attempt failed."""


class _Stamp(NamedTuple):
    """Which file a part is of, and its bytes; kept beside it, so that no other file is ever appended to it.

    The validator is what a changed file at the same address does not have; None where the server gives nothing.
    """

    url: str
    validator: str | None
    total: int | None


def plain(url: str) -> str:
    """Return an address without passwords and keys, to be shown and stored."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def part_of(target: Path) -> Path:
    """Return the path of a file while it is not whole."""
    return target.with_name(f"{target.name}.part")


def was_fetched(target: Path) -> bool:
    """Return whether a file was downloaded, in this call or an earlier one, and not put there by a person."""
    return _stamp_file(part_of(target)).is_file()


def discard(part: Path) -> None:
    """Remove a part and its stamp."""
    _stamp_file(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def fetch(url: str, part: Path, *, size: int | None, watcher: Watcher) -> None:
    """Download a file of ``size`` bytes, None where that is not known.

    An existing part is resumed if the server can and still has the same file.

    Raises:
        DataError: if the server has no such file or another one, the disk is too small, or the connection is lost
            again and again.
    """
    session = requests.Session()  # takes proxies and certificates from the environment
    # Compressed transfers have other lengths than the file, and cannot be resumed.
    session.headers.update({"User-Agent": f"transkd/{version('transkd')}", "Accept-Encoding": "identity"})
    farthest, failures = _size(part), 0
    with session, watcher.bytes("downloading") as progress:
        while True:
            try:
                return _transfer(session, url, part, size, progress)
            except (requests.RequestException, _Interrupted) as error:
                reason = next((text for kind, text in _REASONS if isinstance(error, kind)), str(error))
                reached = _size(part)
                failures = 1 if reached > farthest else failures + 1
                farthest = max(farthest, reached)
                kept = f" after {decimal(reached)}" if reached else ""
                if failures > len(PAUSES) or isinstance(error, exceptions.SSLError | ValueError):
                    raise DataError(
                        f"{plain(url)}: {reason}{kept}; {failures} attempts failed. What was downloaded is kept, and "
                        "the same command resumes. Where this machine has no network, download it on another one, put "
                        f"it there as {part.with_suffix('')}, and give the same command; a mirror is given with url=URL"
                    ) from error
                watcher.say(f"{plain(url)}: {reason}{kept}; trying again in {PAUSES[failures - 1]:.0f} s")
                time.sleep(PAUSES[failures - 1])


def _transfer(session: requests.Session, url: str, part: Path, size: int | None, progress: Progress) -> None:
    """Make one attempt to complete a part."""
    stamp, have = _read_stamp(part, url), _size(part)
    if have and have == stamp.total:
        return
    headers = {"Range": f"bytes={have}-", "If-Range": stamp.validator} if stamp.validator and have else {}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # the file has become shorter
            discard(part)
        offered = _read_offer(response, url, size)
        if response.status_code == 206:
            starts_here = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if not starts_here or offered.validator != stamp.validator or offered.total not in (stamp.total, None):
                discard(part)
                raise _Interrupted("the server's file has changed")
            offered = stamp
        else:
            have = 0
            _stamp_file(part).unlink(missing_ok=True)  # before the part changes: the old stamp is of the old part
        if offered.total is not None:
            require_space(part.parent, offered.total - have, part.stem)
        with part.open("ab" if have else "wb") as file:
            if not have:
                _stamp_file(part).write_text(json.dumps(offered) + "\n", encoding="utf-8")
            progress(have, offered.total)
            try:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    have += len(chunk)
                    progress(have, offered.total)
            finally:
                file.flush()
                os.fsync(file.fileno())
    if offered.total is not None and have < offered.total:
        raise _Interrupted("the connection was lost")


def _read_offer(response: requests.Response, url: str, size: int | None) -> _Stamp:
    """Return which file a server is about to send; ``size`` is what it should have, if that is known."""
    status, headers = response.status_code, response.headers
    if status in _TEMPORARY:
        raise _Interrupted(f"the server answers {status} {response.reason}")
    problem = ""
    if status not in (200, 206):
        problem = f"the server answers {status} {response.reason}{_ADVICE.get(status, '')}"
    elif headers.get("Content-Type", "").startswith("text/html"):
        problem = "the answer is a web page, not the file: something on the way requires a login or a confirmation"
    length = headers.get("Content-Length", "") if status == 200 else headers.get("Content-Range", "").rpartition("/")[2]
    encoded = headers.get("Content-Encoding", "identity") != "identity"
    total = int(length) if length.isdigit() and not encoded else None
    if not problem and None not in (size, total) and total != size:
        problem = f"it has {total} bytes, but the published file has {size}; to take it as it is: checksum=false"
    if problem:
        raise DataError(f"{plain(url)}: {problem}; try again later, or give a mirror with url=URL")
    tag = headers.get("ETag", "")  # weak ones do not promise the same bytes (RFC 9110, 8.8.1)
    validator = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
    return _Stamp(plain(url), None if encoded else validator, size if total is None else total)


class Verdict(NamedTuple):
    """The bytes and checksum of a file, why it is not the published one if it is not, and else what vouches for it."""

    size: int
    sha256: str
    problem: str
    remark: str = ""


def judge(path: Path, file: RemoteFile, watcher: Watcher) -> Verdict:
    """Compare a file with what was published of it."""
    algorithm, _, published = (file.checksum or "sha256:").partition(":")
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in {"sha256", algorithm}}
    size, done = path.stat().st_size, 0
    with path.open("rb") as content, watcher.bytes("checking") as progress:
        while chunk := content.read(1 << 20):
            for digest in hashes.values():
                digest.update(chunk)
            done += len(chunk)
            progress(done, size)
    found, sha256 = hashes[algorithm].hexdigest(), hashes["sha256"].hexdigest()
    if file.size is not None and size != file.size:
        return Verdict(size, sha256, f"it has {size} bytes, but the published file has {file.size}")
    if not published or found == published:
        return Verdict(size, sha256, "", "as published" if published else "no checksum is published")
    if file.commit is not None:
        with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            if archive.comment == file.commit.encode():  # which git archive writes
                remark = f"packed anew since its {algorithm} was published, from commit {file.commit[:7]}"
                return Verdict(size, sha256, "", remark)
    return Verdict(size, sha256, f"its {algorithm} is {found}, but {published} is published")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _stamp_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_stamp(part: Path, url: str) -> _Stamp:
    """Return the stamp of a part of the file at ``url``; without a validator where there is none."""
    with suppress(OSError, ValueError, TypeError):
        stamp = _Stamp(*json.loads(_stamp_file(part).read_text(encoding="utf-8")))
        if stamp.url == plain(url):
            return stamp
    return _Stamp(plain(url), None, None)
