"""Writes synthetic scenes to disk in Cityscapes' layout, so that its loader reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from transkd.errors import ConfigError, DataError

from .labels import colourise
from .layout import (
    MANIFEST,
    SPLITS,
    UNFINISHED,
    SceneSet,
    list_jobs,
    prepare_folder,
    read_manifest,
    scene_paths,
    write_whole,
)
from .scene import check_size, draw_scene

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What ``write_scenes`` did.

    Attributes:
        root: the dataset's folder.
        scenes: what it now holds.
        drawn: number of scenes drawn by this call; 0 where all were there already.
    """

    root: Path
    scenes: SceneSet
    drawn: int

    def __str__(self) -> str:
        count = f"{self.scenes.train} training and {self.scenes.val} validation scenes"
        if not self.drawn:
            return f"{self.root} already holds these {count}: nothing to do"
        return f"drew {self.drawn} scenes; {self.root} holds {count}"


def write_scenes(
    root: str | Path,
    *,
    train: int,
    val: int,
    seed: int = 0,
    size: tuple[int, int] = (128, 256),
    workers: int | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
    colour: bool = True,
) -> WriteReport:
    """Draw a dataset of synthetic street scenes into ``root``, in Cityscapes' layout and raw label ids.

    A scene depends only on the seed, its split and its number, not on the counts or the workers.
    ``synth.json`` is written last; a folder whose drawing was interrupted is completed by the same call.

    Args:
        root: folder to write to; made if missing.
        train: number of training scenes.
        val: number of validation scenes.
        seed: 0 or more.
        size: (height, width) in pixels, each 64 to 4096.
        workers: processes that draw; ``None`` takes one a core, 0 or 1 draws in this process.
        progress: called with (scenes done, scenes in all) after each scene.
        overwrite: replace an earlier synthetic dataset, or write beside other files, which are never removed.
        colour: also write ``_gtFine_color.png``.

    Returns:
        What was done; ``str()`` of it says so in one line.

    Raises:
        ConfigError: a count, seed, size or number of workers is out of range.
        DataError: ``root`` holds other files or another synthetic dataset, or cannot be written to.
    """
    scenes, root = SceneSet(train, val, seed, *_check_size(size), colour), Path(root)
    _check_counts(scenes, workers)
    try:
        if read_manifest(root / MANIFEST) == asdict(scenes):
            return WriteReport(root, scenes, 0)
        prepare_folder(root, scenes, overwrite)
        drawn = _draw_all(root, scenes, os.cpu_count() or 1 if workers is None else workers, progress)
        (root / UNFINISHED).replace(root / MANIFEST)
    except OSError as error:
        raise DataError(f"cannot write scenes to {root}: {error.strerror or error}") from error
    return WriteReport(root, scenes, drawn)


def _check_size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = size
    except (TypeError, ValueError):
        raise ConfigError(f"size: expected (height, width), got {size!r}") from None
    check_size(height, width)
    return height, width


def _check_counts(scenes: SceneSet, workers: int | None) -> None:
    for name, value in (
        ("train", scenes.train),
        ("val", scenes.val),
        ("seed", scenes.seed),
        ("workers", workers or 0),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ConfigError(f"{name}: expected a whole number of at least 0, got {value!r}")
    if scenes.train + scenes.val == 0:
        raise ConfigError("train and val are both 0: there is nothing to draw")


def _draw_all(root: Path, scenes: SceneSet, workers: int, progress: Progress | None) -> int:
    missing = [job for job in list_jobs(scenes) if not _complete(root, scenes, *job)]
    total = scenes.train + scenes.val
    task = partial(_draw_one, root, scenes)
    done = total - len(missing)
    with closing(_run(task, missing, min(workers, len(missing)))) as steps:
        for _ in steps:
            done += 1
            if progress is not None:
                progress(done, total)
    return len(missing)


def _run(
    task: Callable[[tuple[str, int]], None], jobs: list[tuple[str, int]], workers: int
) -> Generator[None, None, None]:
    if workers <= 1:
        yield from map(task, jobs)
        return
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        try:
            yield from pool.map(task, jobs, chunksize=4)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _complete(root: Path, scenes: SceneSet, split: str, number: int) -> bool:
    return all(path.is_file() for path in scene_paths(root, split, number)[: 3 if scenes.colour else 2])


def _draw_one(root: Path, scenes: SceneSet, job: tuple[str, int]) -> None:
    split, number = job
    rng = np.random.default_rng((scenes.seed, SPLITS.index(split), number))
    scene = draw_scene(rng, scenes.height, scenes.width)
    image, labels, colours = scene_paths(root, split, number)
    for folder in (image.parent, labels.parent):
        folder.mkdir(parents=True, exist_ok=True)
    _write_png(image, scene.image[:, :, ::-1])
    _write_png(labels, scene.labels)
    if scenes.colour:
        _write_png(colours, colourise(scene.labels)[:, :, ::-1])


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    _, packed = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    write_whole(path, packed.tobytes())
