"""Commands as people type them: the one that made a run, and those that come after it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

OPEN_SECTIONS = ("augment.options", "callbacks", "data.options", "distillation.losses")
OPEN_GROUPS = ("optimizer", "trainer")
"""Sections, and groups of a config, that take any option."""
_BELOW_OPEN = tuple(f"{section}." for section in (*OPEN_SECTIONS, *OPEN_GROUPS))
EXPERIMENT = "+experiment="
TEACHER = "_teacher"
"""What the names of experiments that train a teacher end with."""
KEPT = ("data=", "data.", "+data.", "imports=", "--config-dir=")
SCORED = ("data=", "data.root=", "data.options", "+data.", "imports=", "--config-dir=")
"""Beginnings of the arguments that name the data and custom modules and configs; those that scoring takes."""


def takes_any_option(key: str) -> bool:
    """Return whether a key is one of a section that takes any, such as ``trainer.profiler``."""
    return key in OPEN_SECTIONS or key.startswith(_BELOW_OPEN)


def as_typed(override: str) -> str:
    """Return an override without the ``++`` that Hydra needs and nobody has to type: ``trainer.profiler=simple``."""
    key = override.partition("=")[0]
    return override.lstrip("+") if key.startswith("++") and takes_any_option(key.lstrip("+")) else override


def command_line() -> str | None:
    """Return the command that a shell would run this process by again, None outside transkd's commands.

    One that was started as a module, ``python -m transkd.cli.train``, as ``torchrun`` does, is called by its name.
    """
    path = Path(sys.argv[0])
    name = f"transkd-{path.stem}" if path.parts[-3:-1] == ("transkd", "cli") else path.name
    return shlex.join([name, *map(as_typed, sys.argv[1:])]) if name.startswith("transkd") else None


def next_steps(saved: Path, arguments: Sequence[str], data: Mapping[str, Any], *, is_student: bool) -> list[str]:
    """Return what to do with a segmenter that was trained, a line each.

    Args:
        saved: the segmenter's folder.
        arguments: those of the command that trained it; what they say of the data is repeated.
        data: the section ``data`` of its config.
        is_student: whether it was distilled.
    """
    use = f'use it: transkd.load_segmenter("{saved}").predict(images)'
    score = f"score it: {_scoring(saved, arguments, data)}"
    export = f"export it: {shlex.join(['transkd-export', f'model={saved}', 'format=onnx', 'output=student.onnx'])}"
    return [use if is_student else f"distil it: {_distillation(saved, arguments)}", score, export]


def teacher_command(dataset: str) -> str:
    """Return the command that trains a teacher on a dataset, a recipe where there is one."""
    name = f"{dataset}{TEACHER}"
    return f"transkd-train {EXPERIMENT}{name}" if name in _experiments() else "transkd-train data=… student=mit_b2"


def _scoring(saved: Path, arguments: Sequence[str], data: Mapping[str, Any]) -> str:
    """Return the command that scores on the same split, with images of the size that validation had."""
    size = data["size"]
    values = {"data": f"data={data['name']}", "data.root": f"data.root={data['root']}"}
    values |= {text.lstrip("+").partition("=")[0]: text for text in _kept(arguments, SCORED)}
    values["data.size"] = f"data.size={size if isinstance(size, int | str) else '[' + ','.join(map(str, size)) + ']'}"
    if data["val_split"] != "val":
        values["data.val_split"] = f"data.val_split={data['val_split']}"
    return shlex.join(["transkd-eval", f"model={saved}", *values.values()])


def _distillation(saved: Path, arguments: Sequence[str]) -> str:
    """Return the command that distils a student on the same data, from the network that the weights are of.

    Of an experiment ``X_teacher`` it is the one of ``conf/`` that distils from its teacher, such as ``X_mitb0``.
    """
    experiments = [text.removeprefix(EXPERIMENT) for text in arguments if text.startswith(EXPERIMENT)]
    method, known = ["student=mit_b0", "distillation=transkd_ea"], _experiments()
    if experiments and experiments[0] in known and experiments[0].endswith(TEACHER):
        stem = experiments[0].removesuffix(TEACHER)
        students = [name for name in known if name.startswith(stem) and name != experiments[0]]
        experiments, method = (students[:1], []) if students else (experiments, method)
    named = (EXPERIMENT + name for name in experiments)
    teacher = ["teacher=auto", f"teacher.weights={saved}"]
    return shlex.join(["transkd-train", *named, *_kept(arguments, KEPT), *method, *teacher])


def _kept(arguments: Sequence[str], starts: tuple[str, ...]) -> list[str]:
    folders = [f"--config-dir={after}" for flag, after in pairwise(arguments) if flag in ("--config-dir", "-cd")]
    return [*folders, *(text for text in arguments if text.startswith(starts))]


def _experiments() -> list[str]:
    package = Path(__file__).resolve().parents[1]
    folders = (package / "conf/experiment", package.parents[1] / "conf/experiment")  # in a wheel, and in a checkout
    return [path.stem for folder in folders for path in sorted(folder.glob("*.yaml"))]
