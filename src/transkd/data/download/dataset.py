"""A dataset from its servers into its folder: all of it, or nothing under the final names."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout
from rich.filesize import decimal

from transkd.data.datasets import find_scenes, get_layout
from transkd.data.download.fetching import (
    RemoteFile,
    Verdict,
    discard,
    fetch,
    is_address,
    judge,
    part_of,
    plain,
    was_fetched,
)
from transkd.data.download.recipes import RECIPES, Recipe
from transkd.data.download.unpacking import NoRoomError, Silent, Watcher, require_space
from transkd.errors import ConfigError, DataError
from transkd.files import sync

WORK = ".download"
"""In the root: archives and unfinished work. Hidden, so that no dataset takes it for its own."""

COMPLETE = "complete"
"""In :data:`WORK`: the dataset, checked, on its way to its place. It goes last, when nothing is left to be done."""

UNPACKED = "unpacked-"
"""In :data:`WORK`: what names of unfinished datasets begin with."""

RECORD = "download.json"
"""In the root: what was downloaded, from where."""


@dataclass(frozen=True)
class DownloadReport:
    """What a download did.

    Attributes:
        root: the dataset's folder.
        recipe: what it was made by.
        scenes: how many scenes each split has.
        downloaded: whether this call downloaded it; False where it was there.
        archives: where the downloaded files are kept; None where they are not.
    """

    root: Path
    recipe: Recipe
    scenes: Mapping[str, int]
    downloaded: bool
    archives: Path | None = None

    def __str__(self) -> str:
        """Summarise it in a few lines."""
        title = get_layout(self.recipe.dataset).title
        scenes = ", ".join(f"{count} {split}" for split, count in self.scenes.items())
        if not self.downloaded:
            return f"{self.root} already holds {title} ({scenes} scenes): nothing to do"
        lines = [f"{self.root} holds {title}: {scenes} scenes", f"description and terms of use: {self.recipe.page}"]
        lines += [f"the downloaded files are kept in {self.archives}"] if self.archives else []
        lines += [f"note: {self.recipe.note}"] if self.recipe.note else []
        return "\n".join(lines)


def download_dataset(
    name: str,
    root: Path | str,
    *,
    url: str | None = None,
    checksum: bool = True,
    keep_archives: bool = False,
    watcher: Watcher | None = None,
) -> DownloadReport:
    """Download, check and unpack a dataset; the same call completes an interrupted one.

    Files are downloaded to ``ROOT/.download``; one that is there already, whole and under its name, is not
    downloaded. Nothing has a final name before everything is there and checked.

    Args:
        name: one of :data:`~transkd.data.download.recipes.RECIPES`.
        root: the dataset's folder: new, empty or begun by the same command.
        url: a mirror: the address of the file, or with ``/`` at its end the folder that holds the files by their names.
        checksum: False takes files of another checksum, size or number of scenes than the published ones.
        keep_archives: leaves the downloaded files in ``ROOT/.download``, where files that were put there by hand stay.
        watcher: sees the progress.

    Returns:
        What was done.

    Raises:
        ConfigError: if the dataset cannot be downloaded, with what to do instead, or the mirror's address does not
            say where each of several files is.
        DataError: if the root holds other files, a package is missing, the disk is too small, a file cannot be had
            or is not the published one, or an archive is damaged.
    """
    recipe = _find_recipe(name)
    sources = {file: _address(file, recipe, url) for file in recipe.files}
    root = Path(root).expanduser().absolute()
    if not (root / WORK / COMPLETE).is_dir():
        found = _count_scenes(recipe, root)
        if found and found in (recipe.scenes, _recorded_scenes(root)):
            return DownloadReport(root, recipe, found, downloaded=False)
        _refuse_other_files(root)
    missing = [package for package in recipe.needs if find_spec(package) is None]
    if missing:
        raise DataError(
            f"{get_layout(name).title} is read with {' and '.join(missing)}, which is not installed: "
            f"pip install 'transkd[{name}]'"
        )
    with _write_errors(root), _locked_work_folder(root) as work:
        if not (work / COMPLETE).is_dir() and not (root / RECORD).is_file():  # neither by a call that has ended since
            _make(recipe, sources, work, checksum=checksum, watcher=watcher or Silent())
        if (work / COMPLETE).is_dir():
            install(recipe, root, keep_archives=keep_archives)
    kept = any((work / file.name).is_file() for file in recipe.files)
    return DownloadReport(root, recipe, _count_scenes(recipe, root), downloaded=True, archives=work if kept else None)


def _find_recipe(name: str) -> Recipe:
    if name in RECIPES:
        return RECIPES[name]
    layout, known = get_layout(name), ", ".join(sorted(RECIPES))
    if layout.classes is None:
        why = "cannot be downloaded; to try things without data, draw some: transkd-data action=synth root=PATH"
    else:
        why = (
            "requires an account, so that no command can download it; synthetic scenes in its layout are drawn by "
            "transkd-data action=synth root=PATH"
        )
    raise ConfigError(f"{layout.title} {why} ({known} can be downloaded).\n{layout.explain()}")


def _address(file: RemoteFile, recipe: Recipe, url: str | None) -> str:
    if url is None:
        return file.url
    if not is_address(url):
        raise ConfigError(f"url: give an address with http:// or https:// (it is {url!r})")
    if url.endswith("/"):
        return f"{url}{quote(file.name)}"
    if len(recipe.files) > 1:
        names = ", ".join(each.name for each in recipe.files)
        raise ConfigError(
            f"url: {get_layout(recipe.dataset).title} is {len(recipe.files)} files ({names}): give the address of the "
            "folder that holds them, with / at its end"
        )
    return url


def _count_scenes(recipe: Recipe, root: Path) -> dict[str, int]:
    """Count the scenes of each split, without those that are not there or not complete."""
    found = {}
    for split in recipe.scenes:
        with suppress(DataError):
            found[split] = len(find_scenes(recipe.dataset, root, split).samples)
    return found


def _recorded_scenes(root: Path) -> object:
    """Return how many scenes each split had when it was downloaded; None where it was not."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return json.loads((root / RECORD).read_text(encoding="utf-8"))["scenes"]
    return None


def _refuse_other_files(root: Path) -> None:
    """Raise a DataError where a root holds anything but what an earlier call left in :data:`WORK`."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file, not a folder: choose another one with data.root=PATH")
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    other = [name for name in names if not name.startswith(".") and name != "lost+found"]
    if other:
        listed = f"{', '.join(other[:3])}{', ...' if len(other) > 3 else ''}"
        raise DataError(f"{root} holds other files ({listed}): choose an empty folder with data.root=PATH")


@contextmanager
def _write_errors(root: Path) -> Iterator[None]:
    """Turn the system's errors of writing below a folder into one message."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoomError(
                f"the disk of {root} is full; what was downloaded is kept: make room, and the same command resumes"
            ) from error
        raise DataError(f"cannot write to {error.filename or root}: {error.strerror or error}") from error


@contextmanager
def _locked_work_folder(root: Path) -> Iterator[Path]:
    """Make and lock the work folder of a root; leave nothing behind where nothing was done in it."""
    new = not root.exists()
    work = root / WORK
    work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work / "lock")
    try:
        with suppress(NotImplementedError):  # a file system without locks
            lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(f"another call is downloading to {root}: wait for it, or stop it") from error
    try:
        yield work
    finally:
        (work / "lock").unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # not empty
            work.rmdir()
            if new:
                root.rmdir()


def _make(recipe: Recipe, sources: Mapping[RemoteFile, str], work: Path, *, checksum: bool, watcher: Watcher) -> None:
    """Download the files, make the dataset from them and check it, as :data:`COMPLETE` in the work folder."""
    title = get_layout(recipe.dataset).title
    if checksum:
        missing = sum(file.size or 0 for file in recipe.files if not (work / file.name).is_file())
        begun = sum(path.stat().st_size for path in work.glob("*.part"))
        written = sum(path.stat().st_size for path in work.glob(f"{UNPACKED}*/**/*"))
        require_space(work, max(missing - begun, 0) + max(recipe.unpacked - written, 0), title)
    verdicts = {file: _get(file, url, work, checksum=checksum, watcher=watcher) for file, url in sources.items()}
    # Named by its sources, so that unpacking never resumes what other files have begun.
    contents = hashlib.sha256("".join(verdict.sha256 for verdict in verdicts.values()).encode())
    unpacked = work / f"{UNPACKED}{contents.hexdigest()[:12]}"
    try:
        recipe.prepare(work, unpacked, watcher)
    except NoRoomError:
        raise
    except DataError as error:
        raise DataError(
            f"{error}\nWhere a downloaded file is wrong, remove it from {work}, and give the same command"
        ) from error
    scenes = _count_scenes(recipe, unpacked)
    if scenes != recipe.scenes and (checksum or not scenes):
        for split in recipe.scenes:
            find_scenes(recipe.dataset, unpacked, split)  # raises what is wrong with one that cannot be read
        counted = ", ".join(f"{scenes[split]} of {count} {split}" for split, count in recipe.scenes.items())
        raise DataError(
            f"the archive holds another {title} than the published one ({counted} scenes); take it as it is with "
            "checksum=false"
        )
    files = [
        {"name": file.name, "url": plain(url), "bytes": verdicts[file].size, "sha256": verdicts[file].sha256}
        for file, url in sources.items()
    ]
    record = {"dataset": recipe.dataset, "scenes": scenes, "files": files}
    (unpacked / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if hasattr(os, "sync"):
        os.sync()  # one call for tens of thousands of files, before their archive may go
    unpacked.replace(work / COMPLETE)
    sync(work)


def _get(file: RemoteFile, url: str, work: Path, *, checksum: bool, watcher: Watcher) -> Verdict:
    """Download a file, unless it is there, and compare it with what is published of it."""
    target = work / file.name
    was_there = target.is_file()
    path = target if was_there else part_of(target)
    if not was_there:
        watcher.say(f"{file.name} from {plain(url)}")
        fetch(url, path, size=file.size if checksum else None, watcher=watcher)
    verdict = judge(path, file, watcher)
    if verdict.problem and checksum:
        if not was_there:
            discard(path)
        raise DataError(
            f"{target if was_there else plain(url)} is not the published {file.name}: {verdict.problem}. "
            f"{'Remove it' if was_there else 'It was removed'}; give the same command again, give a mirror with "
            "url=URL, or take the file as it is with checksum=false"
        )
    if not was_there:
        path.replace(target)
    watcher.say(f"{file.name}: {decimal(verdict.size)}, sha256 {verdict.sha256} ({verdict.problem or verdict.remark})")
    return verdict


def install(recipe: Recipe, root: Path, *, keep_archives: bool) -> None:
    """Move a complete dataset to its place, and remove what was downloaded for it.

    Files that a person put into :data:`WORK` stay there. Where it was interrupted, another call completes it.

    Raises:
        DataError: if something is in its place by now.
    """
    complete = root / WORK / COMPLETE
    for entry in sorted(complete.iterdir(), key=lambda path: path.name == RECORD):
        target = root / entry.name
        if os.path.lexists(target):
            raise DataError(f"{target} has appeared in the meantime, and is not overwritten: move it away")
        entry.replace(target)
    sync(root)
    for file in recipe.files:
        path = root / WORK / file.name
        if was_fetched(path) and not keep_archives:
            path.unlink(missing_ok=True)
        discard(part_of(path))
    for folder in (root / WORK).glob(f"{UNPACKED}*"):
        shutil.rmtree(folder)
    complete.rmdir()
