"""What one does with a segmenter that was trained: commands to copy."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from transkd.training.config import DataConfig

EXPERIMENT = "+experiment="
STUDENT_OF = {f"{name}_teacher": f"{name}_mitb0" for name in ("camvid", "cityscapes", "acdc", "nyuv2", "voc2012")} | {
    "quickstart_teacher": "quickstart"
}
"""Experiments that train a teacher -> those that distil from it."""


KEPT = ("data=", "data.", "+data.", "imports=", "--config-dir=")
SCORED = ("data=", "data.root=", "data.options", "+data.", "imports=", "--config-dir=")
"""What arguments begin with that say of the data, and where things of one's own are; those that scoring takes."""


def next_steps(saved: Path, arguments: Sequence[str], data: DataConfig, *, is_student: bool) -> list[str]:
    """Return what to do next, a line each.

    Args:
        saved: the segmenter's folder.
        arguments: those of the command that trained it; what they say of the data is said again.
        data: what it was trained and validated on.
        is_student: whether it was distilled, so that it is hardly anyone's teacher.
    """
    use = f'use it: transkd.load_segmenter("{saved}").predict(images)'
    score = f"score it: {_scoring(saved, arguments, data)}"
    export = f"export it: {shlex.join(['transkd-export', f'model={saved}', 'format=onnx', 'output=student.onnx'])}"
    return [use if is_student else f"distil it: {_distillation(saved, arguments)}", score, export]


def _kept(arguments: Sequence[str], starts: tuple[str, ...]) -> list[str]:
    folders = [f"--config-dir={after}" for flag, after in pairwise(arguments) if flag in ("--config-dir", "-cd")]
    return [*folders, *(text for text in arguments if text.startswith(starts))]


def _scoring(saved: Path, arguments: Sequence[str], data: DataConfig) -> str:
    """Return the command that scores on the same split, with images of the size that validation had."""
    size = data.size if isinstance(data.size, int) else f"[{','.join(map(str, data.size))}]"
    values = {"data": f"data={data.name}", "data.root": f"data.root={data.root}"}
    values |= {text.lstrip("+").partition("=")[0]: text for text in _kept(arguments, SCORED)}
    values["data.size"] = f"data.size={size}"
    if data.val_split != "val":
        values["data.val_split"] = f"data.val_split={data.val_split}"
    return shlex.join(["transkd-eval", f"model={saved}", *values.values()])


def teacher_command(dataset: str) -> str:
    """Return the command that trains a teacher on a dataset, a recipe where there is one."""
    name = f"{dataset}_teacher"
    return f"transkd-train {EXPERIMENT}{name}" if name in STUDENT_OF else "transkd-train data=… student=mit_b2"


def _distillation(saved: Path, arguments: Sequence[str]) -> str:
    """Return the command that distils a student on the same data, from the network that the weights are of."""
    data = _kept(arguments, KEPT)
    experiments = [text.removeprefix(EXPERIMENT) for text in arguments if text.startswith(EXPERIMENT)]
    weights = f"teacher.weights={saved}"
    if experiments and experiments[0] in STUDENT_OF:
        chosen = [EXPERIMENT + STUDENT_OF[experiments[0]], *data, "teacher=auto", weights]
    else:
        chosen = [
            *(EXPERIMENT + name for name in experiments),
            *data,
            "student=mit_b0",
            "distillation=transkd_ea",
            "teacher=auto",
            weights,
        ]
    return shlex.join(["transkd-train", *chosen])
