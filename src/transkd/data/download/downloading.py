"""A dataset from its servers into its folder: all of it, or nothing under the final names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from rich.filesize import decimal

from transkd.data.datasets import find_scenes, get_layout
from transkd.data.download.answers import is_address, plain
from transkd.data.download.checksums import Verdict, judge
from transkd.data.download.disk import NoRoomError, require_space, writing
from transkd.data.download.fetching import discard, fetch, part_of
from transkd.data.download.folders import (
    READY,
    RECORD,
    UNPACKED,
    WORK,
    claimed,
    count_scenes,
    install,
    make_ready,
    recorded_scenes,
    refuse_other_things,
)
from transkd.data.download.recipes import RECIPES, Recipe, RemoteFile
from transkd.data.download.report import DownloadReport
from transkd.data.download.watching import Silent, Watcher
from transkd.errors import ConfigError, DataError


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
