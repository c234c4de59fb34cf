"""Writes synthetic scenes to disk in Cityscapes' layout, so that its loader reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from transkd.data.classes import CITYSCAPES
from transkd.errors import ConfigError, DataError

from .canvas import LABEL_IDS
from .scene import check_size, draw_scene

MANIFEST, UNFINISHED = "synth.json", "synth.unfinished.json"
CITIES = {"train": ("synthville", "pixelburg", "rasterau"), "val": ("renderham",)}
_VERSION = 3
_FRAME = "000019"


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What ``write_scenes`` did: ``root`` now holds ``train`` and ``val`` scenes, of which it drew ``drawn``."""

    root: Path
    train: int
    val: int
    drawn: int

    def __str__(self) -> str:
        count = f"{self.train} training and {self.val} validation scenes"
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
    progress: Callable[[int, int], None] | None = None,
    overwrite: bool = False,
    colour: bool = True,
) -> WriteReport:
    """Draw a dataset of synthetic street scenes into ``root``, in Cityscapes' layout and raw label ids.

    A scene depends only on the seed, its split and its number, not on the counts or the workers.
    ``synth.json`` is written last; the same call completes a folder whose drawing was interrupted.

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
    check_size(*size)
    if min(train, val, seed, workers or 0) < 0 or train + val == 0:
        got = f"train={train}, val={val}, seed={seed}, workers={workers}"
        raise ConfigError(f"{got}: each must be at least 0; with train and val 0 there is nothing to draw")
    root = Path(root)
    manifest = {"train": train, "val": val, "seed": seed, "height": size[0], "width": size[1], "colour": colour}
    manifest["version"] = _VERSION
    jobs = [(split, number) for split, count in (("train", train), ("val", val)) for number in range(count)]
    try:
        if _read_manifest(root / MANIFEST) == manifest:
            return WriteReport(root, train, val, 0)
        _prepare_folder(root, manifest, overwrite)
        missing = [job for job in jobs if not all(path.is_file() for path in _files(root, *job)[: 2 + colour])]
        draw = partial(_draw_one, root, seed, size, colour)
        drawn = _run_all(draw, missing, os.cpu_count() or 1 if workers is None else workers)
        for done, _ in enumerate(drawn, len(jobs) - len(missing) + 1):
            if progress is not None:
                progress(done, len(jobs))
        (root / UNFINISHED).replace(root / MANIFEST)
    except OSError as error:
        raise DataError(f"cannot write scenes to {root}: {error.strerror or error}") from error
    return WriteReport(root, train, val, len(missing))


def _run_all(draw: Callable[[tuple[str, int]], None], jobs: list[tuple[str, int]], workers: int) -> Iterator[None]:
    if min(workers, len(jobs)) <= 1:
        yield from map(draw, jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        try:
            yield from pool.map(draw, jobs, chunksize=4)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _draw_one(root: Path, seed: int, size: tuple[int, int], colour: bool, job: tuple[str, int]) -> None:
    split, number = job
    scene = draw_scene(np.random.default_rng((seed, list(CITIES).index(split), number)), *size)
    layers = (scene.image[:, :, ::-1], scene.labels, colourise(scene.labels)[:, :, ::-1])
    for path, pixels in list(zip(_files(root, split, number), layers, strict=True))[: 2 + colour]:
        path.parent.mkdir(parents=True, exist_ok=True)
        _, packed = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 3])
        _write_whole(path, packed.tobytes())


def colourise(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB picture of (H, W) raw label ids in Cityscapes' colours; void is black."""
    table = np.zeros((256, 3), np.uint8)
    for name, colour in zip(CITYSCAPES.names, CITYSCAPES.palette, strict=True):
        table[LABEL_IDS[name]] = colour
    return table[labels]


def _files(root: Path, split: str, number: int) -> tuple[Path, Path, Path]:
    """Return where a scene's image, label ids and coloured labels go."""
    cities = CITIES[split]
    city = cities[number % len(cities)]
    stem = f"{city}_{number // len(cities):06d}_{_FRAME}"
    image, truth = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
    labels, colours = truth / f"{stem}_gtFine_labelIds.png", truth / f"{stem}_gtFine_color.png"
    return image / f"{stem}_leftImg8bit.png", labels, colours


def _read_manifest(path: Path) -> dict[str, int] | None:
    content: dict[str, int] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return content


def _prepare_folder(root: Path, manifest: dict[str, int], overwrite: bool) -> None:
    """Make a folder for these scenes; raise DataError where it holds others and may not be overwritten."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file: name a folder to write the scenes to")
    root.mkdir(parents=True, exist_ok=True)
    if (unfinished := _read_manifest(root / UNFINISHED)) == manifest:
        return
    if any(root.iterdir()) and not overwrite:
        if earlier := _read_manifest(root / MANIFEST) or unfinished:
            described = ", ".join(f"{key} {value}" for key, value in earlier.items())
            advice = "choose another folder, or set overwrite=true to replace them"
            raise DataError(f"{root} holds other synthetic scenes ({described}): {advice}")
        names = ", ".join(sorted(path.name for path in root.iterdir())[:3])
        advice = "choose an empty folder, or set overwrite=true to write beside them"
        raise DataError(f"{root} already holds other files ({names}): {advice}")
    for path in (root / MANIFEST, root / UNFINISHED):
        path.unlink(missing_ok=True)
    for city in (city for cities in CITIES.values() for city in cities):  # an earlier dataset, by its own names only
        for path in [*root.glob(f"*/*/{city}/{city}_*_{_FRAME}_*.png")]:
            path.unlink()
    _write_whole(root / UNFINISHED, json.dumps(manifest, indent=2).encode() + b"\n")


def _write_whole(path: Path, content: bytes) -> None:
    partial_path = path.with_name(path.name + ".part")
    partial_path.write_bytes(content)
    partial_path.replace(path)
