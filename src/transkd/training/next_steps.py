"""What one does with a segmenter that was trained: commands to copy."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

EXPERIMENT = "+experiment="
STUDENT_OF = {f"{name}_teacher": f"{name}_mitb0" for name in ("camvid", "cityscapes", "acdc", "nyuv2", "voc2012")} | {
    "quickstart_teacher": "quickstart"
}
"""Experiments that train a teacher -> those that distil from it."""


def next_steps(saved: Path, arguments: Sequence[str], *, is_student: bool) -> list[str]:
    """Return what to do next, a line each.

    Args:
        saved: the segmenter's folder.
        arguments: those of the command that trained it; what they say of the data is said again.
        is_student: whether it was distilled, so that it is hardly anyone's teacher.
    """
    use = f'use it: transkd.load_segmenter("{saved}").predict(images)'
    export = f"export it: {shlex.join(['transkd-export', f'model={saved}', 'format=onnx', 'output=student.onnx'])}"
    return [use, export] if is_student else [f"distil it: {_distillation(saved, arguments)}", export]


def _distillation(saved: Path, arguments: Sequence[str]) -> str:
    """Return the command that distils a student on the same data, from the network that the weights are of."""
    data = [text for text in arguments if text.startswith(("data=", "data.", "+data.", "imports="))]
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
