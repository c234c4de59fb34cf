"""Files of label ids beside the scores, or in their place where a split has no labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transkd.cli.eval_config import EvalConfig
from transkd.cli.eval_files import ARCHIVE
from transkd.data import SceneDataModule
from transkd.data.datasets import get_layout
from transkd.data.datasets.layout import Benchmark
from transkd.data.reading import image_size
from transkd.evaluation.submission import LabelFiles, doubts


def start_files(config: EvalConfig, data: SceneDataModule, folder: Path) -> LabelFiles | None:
    """Return what writes the files of ``format``; None without one.

    Raises:
        DataError: two images have one name.
    """
    if config.format is None:
        return None
    benchmark, samples = _benchmark(config), data.val_dataset.samples
    files = LabelFiles(
        folder / benchmark.folder,
        [sample.name + benchmark.suffix for sample in samples],
        lambda place: image_size(samples[place].image),
        benchmark.ids,
    )
    files.start()
    return files


def pack_files(config: EvalConfig, files: LabelFiles) -> dict[str, Any]:
    """Pack the files if asked for, and return what is to be told of them."""
    benchmark = _benchmark(config)
    archive = files.folder.with_name(ARCHIVE)
    return {
        "format": config.format,
        "folder": files.folder.name,
        "files": files.sizes.total(),
        "archive": {"file": archive.name, "bytes": files.pack(archive)} if config.zip else None,
        "doubts": doubts(files.sizes, size=benchmark.size, count=None if config.labelled else benchmark.count),
    }


def told(submission: dict[str, Any], folder: Path) -> list[str]:
    """Return the lines that a person reads on the files."""
    lines = [f"{submission['files']} files of label ids for {submission['format']} in {folder / submission['folder']}"]
    if submission["archive"]:
        size = submission["archive"]["bytes"] / 1e6
        lines.append(f"packed into {folder / submission['archive']['file']} ({size:.1f} MB)")
    return [*lines, *(f"the server may refuse them: {doubt}" for doubt in submission["doubts"])]


def _benchmark(config: EvalConfig) -> Benchmark:
    benchmark = get_layout(config.data.name).benchmark
    assert benchmark is not None  # else the config was refused
    return benchmark
