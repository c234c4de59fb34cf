"""One file over HTTP into a part file, from where an earlier call or a lost connection stopped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import zipfile
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
from rich.filesize import decimal

from transkd.data.download.recipes import RemoteFile
from transkd.data.download.unpacking import Progress, Watcher, require_space
from transkd.errors import DataError

TIMEOUT = (15.0, 60.0)
"""Seconds to wait for a connection, and for more of an answer."""

_PASSING = (408, 425, 429, 500, 502, 503, 504)
_MIRROR = "or give a mirror with url=URL"


class TryAgain(Exception):  # noqa: N818 - it is no error
    """Something that may pass.

    Args:
        reason: what went wrong.
        after: seconds after which the server wants to be asked again.
        likely: whether it passes soon as a rule; a machine without a network stays without one.
    """

    def __init__(self, reason: str, after: float = 0.0, *, likely: bool = True) -> None:
        super().__init__(reason)
        self.after = after
        self.likely = likely


@dataclass(frozen=True)
class Offer:
    """What a server is about to send.

    Attributes:
        start: the byte it begins with.
        total: the bytes of the whole file; None where the server does not say.
        validator: what tells this file from a changed one at the same address; None where the server gives nothing.
    """

    start: int
    total: int | None
    validator: str | None


def open_session() -> requests.Session:
    """Make a session, which takes proxies and certificates from the environment."""
    session = requests.Session()
    # Compressed transfers have other lengths than the file, and cannot be gone on with.
    session.headers.update({"User-Agent": f"transkd/{version('transkd')}", "Accept-Encoding": "identity"})
    return session


def is_address(url: str) -> bool:
    """Return whether a text is an address of the web."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def plain(url: str) -> str:
    """Return an address without passwords and keys, to be shown and stored."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_offer(response: requests.Response, url: str) -> Offer:
    """Read what an answer offers.

    Raises:
        DataError: if it is none that will ever help.
        TryAgain: if it may be another one soon.
    """
    status = response.status_code
    if status == 206:
        return _part(response)
    if status in _PASSING:
        raise TryAgain(f"{plain(url)}: the server says {status} {response.reason}", _retry_after(response))
    if status != 200:
        advice = {401: "it wants an account", 403: "it does not allow this", 404: "the file is not there (any more)"}
        raise DataError(
            f"{plain(url)}: the server says {status} {response.reason}"
            f"{f': {advice[status]}' if status in advice else ''}; try again later, {_MIRROR}"
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise DataError(
            f"{plain(url)}: the answer is a web page, not the file: something on the way wants a login or a "
            f"confirmation; open the address in a browser, {_MIRROR}"
        )
    length = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    total = int(length) if length.isdigit() and not encoded else None
    return Offer(0, total, None if encoded else _validator(response))


def explained(error: requests.RequestException, url: str) -> DataError | TryAgain:
    """Turn an error of the way to a server into a message, or into a reason to try again."""
    text = str(error)
    host = urlsplit(url).hostname
    if isinstance(error, requests.exceptions.ProxyError):
        return TryAgain(f"the proxy that the environment names for {host} does not answer (HTTPS_PROXY, HTTP_PROXY)")
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in text:
        return DataError(
            f"{plain(url)}: the server's certificate cannot be verified. Where a proxy signs connections with "
            f"certificates of its own, name their file with REQUESTS_CA_BUNDLE=FILE, {_MIRROR}"
        )
    if isinstance(error, requests.exceptions.Timeout):
        return TryAgain(f"{host} does not answer")
    if isinstance(error, requests.exceptions.ConnectionError):
        if re.search(r"resol|getaddrinfo|Name or service", text):
            return TryAgain(f"there is no network, or no server {host}", likely=False)
        return TryAgain(f"{host} does not take connections" if "Failed to establish" in text else _LOST.format(host))
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return TryAgain(_LOST.format(host))
    return DataError(f"{plain(url)}: cannot be asked for ({text})")


_LOST = "the connection to {} was lost"


def _part(response: requests.Response) -> Offer:
    described = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", described.strip())
    if match is None:
        return Offer(-1, None, None)
    return Offer(int(match[1]), None if match[2] == "*" else int(match[2]), _validator(response))


def _validator(response: requests.Response) -> str | None:
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):  # weak tags do not promise the same bytes (RFC 9110, 8.8.1)
        return str(tag)
    return response.headers.get("Last-Modified")


def _retry_after(response: requests.Response) -> float:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), 120.0) if seconds.isdigit() else 0.0


_BLOCK = 1 << 20


@dataclass(frozen=True)
class Verdict:
    """What a file turned out to be.

    Attributes:
        size: its bytes.
        sha256: its checksum.
        problem: why it is not the published one; empty where it is, or where nobody published a checksum.
        remark: what speaks for it.
    """

    size: int
    sha256: str
    problem: str
    remark: str


def judge(path: Path, file: RemoteFile, watcher: Watcher) -> Verdict:
    """Compare a file with what was published of it."""
    algorithm, _, published = (file.checksum or "sha256:").partition(":")
    digests = _digests(path, {"sha256", algorithm}, "checking", watcher)
    size = path.stat().st_size
    verdict = Verdict(size, digests["sha256"], "", "no checksum is published")
    if file.size is not None and size != file.size:
        return _with(verdict, f"it has {size} bytes, but the published file has {file.size}")
    if not published:
        return verdict
    if digests[algorithm] == published:
        return _with(verdict, "", "as published")
    if file.commit is not None and _commit_of(path) == file.commit:
        return _with(verdict, "", f"packed anew since its {algorithm} was published, from commit {file.commit[:7]}")
    return _with(verdict, f"its {algorithm} is {digests[algorithm]}, but {published} is published")


def _with(verdict: Verdict, problem: str, remark: str = "") -> Verdict:
    return Verdict(verdict.size, verdict.sha256, problem, remark or "not the published file")


def _digests(path: Path, algorithms: set[str], what: str, watcher: Watcher) -> dict[str, str]:
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    total, done = path.stat().st_size, 0
    with path.open("rb") as file, watcher.bytes(what) as progress:
        while chunk := file.read(_BLOCK):
            for digest in hashes.values():
                digest.update(chunk)
            done += len(chunk)
            progress(done, total)
    return {name: digest.hexdigest() for name, digest in hashes.items()}


def _commit_of(path: Path) -> str:
    """Return the commit that ``git archive`` wrote into a ZIP's comment, or nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.decode("ascii", "replace")
    except (OSError, zipfile.BadZipFile):
        return ""


HOPELESS = 2  # tries again where nothing suggests that waiting helps
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further try; tries that bring more of the file begin anew."""

_CHUNK = 1 << 16  # of a lost connection, up to one chunk is lost too


@dataclass(frozen=True)
class _Stamp:
    """Which file a part is of; kept beside it, so that no other file is ever appended to it."""

    url: str
    validator: str | None
    total: int | None

    @classmethod
    def of(cls, part: Path, url: str) -> _Stamp | None:
        try:
            stamp = cls(**json.loads(_stamp_file(part).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return stamp if stamp.url == plain(url) else None

    def write(self, part: Path) -> None:
        _stamp_file(part).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


def fetch(url: str, part: Path, *, size: int | None, watcher: Watcher) -> None:
    """Download a file.

    Args:
        url: where it is.
        part: where it goes; a part that is there is gone on with if the server can and still has the same file.
        size: its bytes; None where they are not known.
        watcher: sees the progress.

    Raises:
        DataError: if the server has no such file or another one, the disk is too small, or the connection is lost
            again and again.
        OSError: if it cannot be written.
    """
    farthest, failures = _size(part), 0
    with open_session() as session, watcher.bytes("downloading") as progress:
        while True:
            try:
                _transfer(session, url, part, size, progress)
            except TryAgain as again:
                reached = _size(part)
                failures = 1 if reached > farthest else failures + 1
                farthest = max(farthest, reached)
                if failures > (len(PAUSES) if again.likely else HOPELESS):
                    raise _given_up(url, part, again, failures) from again
                pause = max(PAUSES[failures - 1], again.after)
                kept = f" after {decimal(reached)}" if reached else ""
                watcher.say(f"{again}{kept}; trying again in {pause:.0f} s")
                time.sleep(pause)
            else:
                return


def part_of(target: Path) -> Path:
    """Return where a file is while it is not whole."""
    return target.with_name(f"{target.name}.part")


def was_fetched(target: Path) -> bool:
    """Tell whether a file was downloaded, in this call or an earlier one, and not put there by someone."""
    return _stamp_file(part_of(target)).is_file()


def discard(part: Path) -> None:
    """Remove a part and what is known of it."""
    _stamp_file(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _transfer(session: requests.Session, url: str, part: Path, size: int | None, progress: Progress) -> None:
    stamp = _Stamp.of(part, url)
    have = _size(part)
    if stamp is not None and have and have == stamp.total:
        return
    headers = {}
    if stamp is not None and stamp.validator is not None and have:
        headers = {"Range": f"bytes={have}-", "If-Range": stamp.validator}
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:
                discard(part)
                raise TryAgain(f"{plain(url)} has become shorter")
            offer = read_offer(response, url)
            _require_fitting(offer, stamp, have, part, url)
            _require_size(offer, size, url)
            offer = replace(offer, total=size if offer.total is None else offer.total)
            if offer.total is not None:
                require_space(part.parent, offer.total - offer.start, part.stem)
            _receive(response, offer, part, url, progress)
    except requests.RequestException as error:
        raise explained(error, url) from error


def _require_fitting(offer: Offer, stamp: _Stamp | None, have: int, part: Path, url: str) -> None:
    """Begin anew where what is sent does not continue the part."""
    if offer.start == 0:
        return
    same = stamp is not None and offer.validator in (stamp.validator, None) and offer.total in (stamp.total, None)
    if offer.start != have or not same:
        discard(part)
        raise TryAgain(f"{plain(url)} does not continue what is there")


def _require_size(offer: Offer, size: int | None, url: str) -> None:
    if size is not None and offer.total is not None and offer.total != size:
        raise DataError(
            f"{plain(url)} has {offer.total} bytes, but the published file has {size}: it is another one. Give a "
            "mirror of the published one with url=URL, or take this one with checksum=false"
        )


def _receive(response: requests.Response, offer: Offer, part: Path, url: str, progress: Progress) -> None:
    if offer.start == 0:
        _stamp_file(part).unlink(missing_ok=True)  # before the part changes: the old stamp is of the old part
    have = offer.start
    with part.open("ab" if offer.start else "wb") as file:
        if offer.start == 0:
            _Stamp(plain(url), offer.validator, offer.total).write(part)
        progress(have, offer.total)
        try:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress(have, offer.total)
        finally:
            file.flush()
            os.fsync(file.fileno())
    if offer.total is not None and have < offer.total:
        raise TryAgain(f"the connection to {response.url.split('/')[2].rpartition('@')[2]} was lost")


def _given_up(url: str, part: Path, again: TryAgain, tries: int) -> DataError:
    kept = f"The {decimal(_size(part))} that are there are kept, and the same command goes on. " if _size(part) else ""
    return DataError(
        f"{again}; it was tried {tries} times. {kept}Where this machine has no network, download "
        f"{plain(url)} on another one, put it there as {part.with_suffix('')}, and give the same command; "
        "a mirror is given with url=URL"
    )


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _stamp_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
