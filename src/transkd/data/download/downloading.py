"""A dataset from its servers into its folder: all of it, or nothing under the final names."""

from __future__ import annotations

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
from transkd.data.download.fetching import Verdict, discard, fetch, is_address, judge, part_of, plain, was_fetched
from transkd.data.download.recipes import RECIPES, Recipe, RemoteFile
from transkd.data.download.unpacking import NoRoomError, Silent, Watcher, require_space, sync_folder, writing
from transkd.errors import ConfigError, DataError

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


@dataclass(frozen=True)
class DownloadReport:
    """What a download did.

    Attributes:
        root: the dataset's folder.
        title: what people call the dataset.
        scenes: how many scenes each split has.
        downloaded: whether this call brought it; False where it was there.
        archives: where the downloaded files are kept; None where they are not.
        page: where the dataset is described, with its terms of use.
        note: what people should know.
    """

    root: Path
    title: str
    scenes: Mapping[str, int]
    downloaded: bool
    archives: Path | None
    page: str
    note: str

    def __str__(self) -> str:
        """Say it in a few lines."""
        scenes = ", ".join(f"{count} {split}" for split, count in self.scenes.items())
        if not self.downloaded:
            return f"{self.root} already holds {self.title} ({scenes} scenes): nothing to do"
        lines = [f"{self.root} holds {self.title}: {scenes} scenes", f"described, with its terms of use: {self.page}"]
        lines += [f"the downloaded files are kept in {self.archives}"] if self.archives else []
        lines += [f"note: {self.note}"] if self.note else []
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
    """Download, check and unpack a dataset; an interrupted call is completed by the same call.

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
        DataError: if the root holds other things, a package is missing, the disk is too small, a file cannot be had
            or is not the published one, or an archive is damaged.
    """
    recipe = _recipe(name)
    sources = {file: _address(file, recipe, url) for file in recipe.files}
    root = Path(root).expanduser().absolute()
    there = _already_there(recipe, root)
    if there is not None:
        return there
    _require_packages(recipe)
    with writing(root), claimed(root) as work:
        if not (work / READY).is_dir():
            if (root / RECORD).is_file():  # by a call that has ended since
                return _report(recipe, root, count_scenes(recipe, root), downloaded=False)
            _make(recipe, sources, work, checksum=checksum, watcher=watcher or Silent())
        install(recipe, root, keep_archives=keep_archives)
    kept = any((work / file.name).is_file() for file in recipe.files)
    return _report(recipe, root, count_scenes(recipe, root), downloaded=True, archives=work if kept else None)


def _recipe(name: str) -> Recipe:
    if name in RECIPES:
        return RECIPES[name]
    layout, known = get_layout(name), ", ".join(sorted(RECIPES))
    if layout.classes is None:
        why = "cannot be downloaded; to try things without data, draw some: transkd-data action=synth root=PATH"
    else:
        why = (
            "is given to people with an account only, so that no command can download it; synthetic scenes in its "
            "layout are drawn: transkd-data action=synth root=PATH"
        )
    raise ConfigError(f"{layout.title} {why} ({known} can be).\n{layout.explain()}")


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


def _already_there(recipe: Recipe, root: Path) -> DownloadReport | None:
    """Return a report where the root holds the dataset; refuse a root that holds anything else."""
    if (root / WORK / READY).is_dir():
        return None
    found = count_scenes(recipe, root)
    if found and found in (recipe.scenes, recorded_scenes(root)):
        return _report(recipe, root, found, downloaded=False)
    refuse_other_things(recipe, root, found)
    return None


def _require_packages(recipe: Recipe) -> None:
    missing = [name for name in recipe.needs if find_spec(name) is None]
    if missing:
        raise DataError(
            f"{get_layout(recipe.dataset).title} is read with {' and '.join(missing)}, which is not installed: "
            f"pip install 'transkd[{recipe.dataset}]'"
        )


def _make(recipe: Recipe, sources: Mapping[RemoteFile, str], work: Path, *, checksum: bool, watcher: Watcher) -> None:
    """Get the files and make the dataset from them, ready to be moved to its place."""
    if checksum:
        missing = sum(file.size or 0 for file in recipe.files if not (work / file.name).is_file())
        begun = sum(path.stat().st_size for path in work.glob("*.part"))
        written = sum(path.stat().st_size for path in work.glob(f"{UNPACKED}*/**/*"))
        needed = max(missing - begun, 0) + max(recipe.unpacked - written, 0)
        require_space(work, needed, get_layout(recipe.dataset).title)
    verdicts = {file: _get(file, url, work, checksum=checksum, watcher=watcher) for file, url in sources.items()}
    # Named by its sources, so that unpacking never goes on with what other files have begun.
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
    scenes = _checked_scenes(recipe, unpacked, checksum=checksum)
    files = [
        {"name": file.name, "url": plain(url), "bytes": verdicts[file].size, "sha256": verdicts[file].sha256}
        for file, url in sources.items()
    ]
    make_ready(unpacked, work, {"dataset": recipe.dataset, "scenes": scenes, "files": files})


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


def _checked_scenes(recipe: Recipe, folder: Path, *, checksum: bool) -> dict[str, int]:
    scenes = count_scenes(recipe, folder)
    if scenes == recipe.scenes or (scenes and not checksum):
        return scenes
    for split in recipe.scenes:
        find_scenes(recipe.dataset, folder, split)  # says what is wrong with one that cannot be read
    counted = ", ".join(f"{scenes[split]} of {count} {split}" for split, count in recipe.scenes.items())
    raise DataError(
        f"the archive holds another {get_layout(recipe.dataset).title} than the published one ({counted} scenes); take "
        "it as it is with checksum=false"
    )


def _report(
    recipe: Recipe, root: Path, scenes: Mapping[str, int], *, downloaded: bool, archives: Path | None = None
) -> DownloadReport:
    title = get_layout(recipe.dataset).title
    return DownloadReport(root, title, scenes, downloaded, archives, recipe.page, recipe.note)
