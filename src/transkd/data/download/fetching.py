"""One file over HTTP into a part file, from where an earlier call or a lost connection stopped."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import requests
from rich.filesize import decimal

from transkd.data.download.answers import TIMEOUT, Offer, TryAgain, explained, open_session, plain, read_offer
from transkd.data.download.disk import require_space
from transkd.data.download.watching import Progress, Watcher
from transkd.errors import DataError

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
