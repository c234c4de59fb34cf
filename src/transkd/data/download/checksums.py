"""Is a file the one that was published?"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from transkd.data.download.recipes import RemoteFile
from transkd.data.download.watching import Watcher

_CHUNK = 1 << 20


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
        while chunk := file.read(_CHUNK):
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
