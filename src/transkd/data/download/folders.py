"""The folder that a dataset is downloaded to: what it holds, who works in it, and how it is filled at last."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from transkd.data.datasets import find_scenes, get_layout
from transkd.data.download.disk import sync_folder
from transkd.data.download.fetching import discard, part_of, was_fetched
from transkd.data.download.recipes import Recipe
from transkd.errors import DataError

WORK = ".download"
"""In the root: archives and unfinished work. Hidden, so that no dataset takes it for its own."""

READY = "ready"
"""In :data:`WORK`: the dataset, checked, on its way to its place. It goes last, when nothing is left to be done."""

UNPACKED = "unpacked-"
"""In :data:`WORK`: what names of unfinished datasets begin with."""

RECORD = "download.json"
"""In the root: what was downloaded, from where."""

_LOCK = "lock"


def count_scenes(recipe: Recipe, root: Path) -> dict[str, int]:
    """Count the scenes of each split, leaving out what is not there or not complete."""
    found = {}
    for split in recipe.scenes:
        with suppress(DataError):
            found[split] = len(find_scenes(recipe.dataset, root, split).samples)
    return found


def recorded_scenes(root: Path) -> object:
    """Read how many scenes each split had when it was downloaded; None where it was not."""
    try:
        return json.loads((root / RECORD).read_text(encoding="utf-8"))["scenes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def refuse_other_things(recipe: Recipe, root: Path, found: Mapping[str, int]) -> None:
    """Raise a DataError where a root holds anything but what an earlier call left in :data:`WORK`."""
    title = get_layout(recipe.dataset).title
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file, not a folder: choose another one with data.root=PATH")
    held = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    other = [name for name in held if not name.startswith(".") and name != "lost+found"]
    if not other:
        return
    if found:
        there = ", ".join(f"{found.get(split, 0)} of {count} {split}" for split, count in recipe.scenes.items())
        raise DataError(
            f"{root} holds a part of {title} ({there} scenes), which is not completed or overwritten: use it as it is, "
            "or choose an empty folder with data.root=PATH"
        )
    listed = f"{', '.join(other[:3])}{', ...' if len(other) > 3 else ''}"
    raise DataError(f"{root} holds other things ({listed}): choose an empty folder with data.root=PATH")


@contextmanager
def claimed(root: Path) -> Iterator[Path]:
    """Make and hold the work folder of a root; leave nothing behind where nothing was done in it.

    Raises:
        DataError: if another call holds it.
    """
    new = not root.exists()
    work = root / WORK
    work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work / _LOCK)
    try:
        with suppress(NotImplementedError):  # a file system without locks
            lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(f"another call is downloading to {root}: wait for it, or stop it") from error
    try:
        yield work
    finally:
        (work / _LOCK).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # not empty
            work.rmdir()
            if new:
                root.rmdir()


def make_ready(unpacked: Path, work: Path, record: Mapping[str, object]) -> None:
    """Mark an unpacked and checked dataset as ready, in one step that outlasts a power cut."""
    (unpacked / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if hasattr(os, "sync"):
        os.sync()  # one call for tens of thousands of files, before their archive may go
    unpacked.replace(work / READY)
    sync_folder(work)


def install(recipe: Recipe, root: Path, *, keep_archives: bool) -> None:
    """Move a dataset that is ready to its place, and remove what was downloaded for it.

    Files that someone else put into :data:`WORK` stay there. Where it was interrupted, another call completes it.

    Raises:
        DataError: if something is in its place by now.
    """
    ready = root / WORK / READY
    for entry in sorted(ready.iterdir(), key=lambda path: path.name == RECORD):
        target = root / entry.name
        if os.path.lexists(target):
            raise DataError(f"{target} has appeared in the meantime, and is not overwritten: move it away")
        entry.replace(target)
    sync_folder(root)
    for file in recipe.files:
        path = root / WORK / file.name
        if was_fetched(path) and not keep_archives:
            path.unlink(missing_ok=True)
        discard(part_of(path))
    for folder in (root / WORK).glob(f"{UNPACKED}*"):
        shutil.rmtree(folder)
    ready.rmdir()
