"""Where the files of a synthetic dataset go, and the manifest that says what a folder holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from transkd.errors import DataError

MANIFEST = "synth.json"
UNFINISHED = "synth.unfinished.json"
VERSION = 2
CITIES = {"train": ("synthville", "pixelburg", "rasterau"), "val": ("renderham",)}
_FRAME = 19
SPLITS = tuple(CITIES)
_FOLDERS = ("leftImg8bit", "gtFine")


@dataclass(frozen=True, slots=True)
class SceneSet:
    """What determines a synthetic dataset; equal ones are the same files.

    Attributes:
        train: number of training scenes.
        val: number of validation scenes.
        seed: of the drawing.
        height: of a scene in pixels.
        width: of a scene in pixels.
        colour: whether coloured label pictures are written too.
        version: of the generator.
    """

    train: int
    val: int
    seed: int
    height: int
    width: int
    colour: bool = True
    version: int = VERSION


def list_jobs(scenes: SceneSet) -> list[tuple[str, int]]:
    """Return the split and number of every scene of the set."""
    counts = {"train": scenes.train, "val": scenes.val}
    return [(split, number) for split in SPLITS for number in range(counts[split])]


def scene_paths(root: Path, split: str, number: int) -> tuple[Path, Path, Path]:
    """Return where a scene's image, label ids and coloured labels go."""
    cities = CITIES[split]
    city = cities[number % len(cities)]
    stem = f"{city}_{number // len(cities):06d}_{_FRAME:06d}"
    truth = root / "gtFine" / split / city
    return (
        root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png",
        truth / f"{stem}_gtFine_labelIds.png",
        truth / f"{stem}_gtFine_color.png",
    )


def read_manifest(path: Path) -> dict[str, object] | None:
    """Return what a manifest says, or None where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def prepare_folder(root: Path, scenes: SceneSet, overwrite: bool) -> None:
    """Make ``root`` ready for drawing, or raise DataError."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file: name a folder to write the scenes to")
    root.mkdir(parents=True, exist_ok=True)
    unfinished = read_manifest(root / UNFINISHED)
    if unfinished != asdict(scenes):
        if not overwrite and any(root.iterdir()):
            raise DataError(_refusal(root, unfinished))
        _remove_scenes(root)
        write_whole(root / UNFINISHED, json.dumps(asdict(scenes), indent=2).encode() + b"\n")


def _refusal(root: Path, unfinished: dict[str, object] | None) -> str:
    advice = "choose another folder, or set overwrite=true to replace it"
    if earlier := read_manifest(root / MANIFEST):
        return f"{root} holds other synthetic scenes ({_describe(earlier)}): {advice}"
    if unfinished:
        return f"{root} holds an unfinished set of other synthetic scenes ({_describe(unfinished)}): {advice}"
    names = ", ".join(sorted(path.name for path in root.iterdir())[:3])
    advice = "choose an empty folder, or set overwrite=true to write beside them"
    return f"{root} already holds other files ({names}): {advice}"


def _describe(manifest: dict[str, object]) -> str:
    return ", ".join(f"{key} {manifest.get(key)}" for key in ("train", "val", "seed", "height", "width", "version"))


def _remove_scenes(root: Path) -> None:
    """Remove an earlier synthetic dataset, by its own file names only."""
    for manifest in (MANIFEST, UNFINISHED):
        (root / manifest).unlink(missing_ok=True)
    for folder in _FOLDERS:
        for split, cities in CITIES.items():
            for city in cities:
                for path in (root / folder / split / city).glob(f"{city}_*_{_FRAME:06d}_{folder}*.png"):
                    path.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there."""
    partial_path = path.with_name(path.name + ".part")
    partial_path.write_bytes(content)
    partial_path.replace(path)
