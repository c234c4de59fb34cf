"""The folder that ``transkd-eval`` leaves: its name, what it may replace, scores, page and pictures."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transkd.cli.eval_config import EvalConfig
from transkd.data.datasets import available_datasets, get_layout
from transkd.errors import ConfigError
from transkd.evaluation.pictures import confusion_picture
from transkd.evaluation.report import Evaluation, markdown
from transkd.evaluation.submission import UNFINISHED

SCORES, PAGE, CONFUSION = "scores.json", "scores.md", "confusion.png"
SUBMISSION, ARCHIVE = "submission.json", "submission.zip"
PICTURES = BEST, WORST = "best", "worst"


def free_folder(config: EvalConfig) -> Path:
    """Return the folder to write, which holds nothing, or an evaluation that may be replaced.

    Raises:
        ConfigError: it holds something else.
    """
    folder = Path(config.output or Path("evaluations", default_name(config))).expanduser()
    if not folder.exists() or (folder.is_dir() and all(map(_is_unfinished, folder.iterdir()))):
        return folder
    if not config.overwrite:
        raise ConfigError(f"{folder} exists already: choose another output=…, or overwrite=true to replace its scores")
    if not any((folder / name).is_file() for name in (SCORES, SUBMISSION)):
        raise ConfigError(f"{folder} holds no scores of transkd, so overwrite=true does not replace it")
    return folder


def default_name(config: EvalConfig) -> str:
    """Return a folder's name that tells evaluations apart: model, data, protocol, and what else was chosen."""
    path = Path(config.model).expanduser()
    path = path.resolve() if path.exists() else path
    size, views = config.input_size, config.views
    parts = [
        *path.parts[-2:],
        config.data.name,
        config.split,
        re.sub(r"[^\w.]+", "_", config.protocol.title),
        "x".join(map(str, size)) if isinstance(size, tuple) else str(size),
        *(["slide"] if views.crop else []),
        *([f"{key}{'x'.join(map(str, sides))}" for key in ("crop", "stride") if (sides := getattr(config, key))]),
        *(["flip"] if views.flip else []),
        *([f"scales{'_'.join(f'{scale:g}' for scale in views.scales)}"] if views.scales != (1.0,) else []),
    ]
    return "-".join(part for part in parts if part != path.anchor)


def claim_folder(folder: Path) -> None:
    """Make the folder, so that a place that cannot be written shows before anything is scored.

    What an evaluation that was stopped left unfinished is removed.

    Raises:
        ConfigError: it cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
        for name in (*_submission_folders(), ARCHIVE):
            _remove(folder / (name + UNFINISHED))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a ConfigError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror or error}): choose another output=…") from error


def clear_previous(folder: Path) -> None:
    """Remove what an evaluation before left, and nothing else."""
    for name in (*PICTURES, *_submission_folders(), SCORES, PAGE, CONFUSION, SUBMISSION, ARCHIVE):
        _remove(folder / name)


def write_scores(folder: Path, report: dict[str, Any], evaluation: Evaluation) -> None:
    """Write scores, page and confusion matrix.

    Args:
        folder: where to.
        report: what ``scores.json`` holds.
        evaluation: the counts behind it.
    """
    write_json(folder / SCORES, report)
    (folder / PAGE).write_text(markdown(report), encoding="utf-8")
    confusion_picture(evaluation.confusion.sum(0), evaluation.class_names).save(folder / CONFUSION)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write plain values that hold no NaN."""
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def picture_file(folder: Path, kind: str, rank: int, name: str) -> Path:
    """Return where an image's picture goes; files sort by rank."""
    (folder / kind).mkdir(exist_ok=True)
    return folder / kind / f"{rank:02d}-{name}.png"


def _submission_folders() -> list[str]:
    layouts = map(get_layout, available_datasets())
    return [layout.benchmark.folder for layout in layouts if layout.benchmark is not None]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_unfinished(path: Path) -> bool:
    return path.name.endswith(UNFINISHED)
