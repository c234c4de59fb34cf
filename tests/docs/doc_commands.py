"""From a page's blocks to commands and code that run: placeholders filled in, what cannot run only checked.

Commands of transkd run in this process, which has torch loaded already; other lines of a block run by bash.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import lightning
from doc_pages import Block
from doc_small import SIZE, TINY_TRAINER, Shrink, as_it_is, checked_only, has_launcher, small
from docs_console import Answer, run_command

import transkd

COMMAND = re.compile(r"transkd-[a-z]+\b(?!/)")
ASSIGNMENT = re.compile(r"(export\s+)?\w+=(\S*|\"[^\"]*\")$")
REDIRECTION = re.compile(r"\s>\s*\S+")
WORDS = "words() { printf '%s\\0' \"$@\"; }"
LEFT_OUT = r"(?:…|\.\.\.)"
CUSTOM_FOLDER = "PATH"
"""Where the sandbox holds a custom dataset."""


@dataclass(frozen=True)
class Line:
    """A line of a script; one that is only checked is a command that composes and validates its config and ends."""

    text: str
    checked: bool = False


@dataclass(frozen=True)
class Ran(Answer):
    """The answer of a command, with its arguments."""

    argv: tuple[str, ...] = ()


def run_lines(lines: Iterable[Line], folder: Path, shrink: Shrink = as_it_is) -> list[Ran]:
    """Run a script in a folder, its commands of transkd in this process.

    Args:
        lines: the script.
        folder: where it starts.
        shrink: changes the composed config of a command that runs, so that it ends at once.

    Returns:
        The answers of the commands of transkd.

    Raises:
        AssertionError: a line for bash failed.
    """
    variables: list[str] = []
    answers: list[Ran] = []
    for line in lines:
        command = command_of(line.text)
        if command:
            given = "; ".join(
                [*variables, "words() { printf '%s\\0' \"$@\"; }", f"words {REDIRECTION.sub('', command)}"]
            )
            argv = _bash(given, folder).split("\0")[:-1]
            with contextlib.chdir(folder):
                answers.append(call(argv, checked_only if line.checked else shrink))
        elif ASSIGNMENT.match(line.text):
            variables.append(line.text)
        elif line.text.strip() and not line.checked:
            _bash("\n".join([*variables, line.text]), folder)
    return answers


def call(argv: list[str], shrink: Shrink) -> Ran:
    """Call a command, its config shrunk; one with a launcher is checked as it stands first."""
    if shrink is small and has_launcher(argv):
        checked = call(argv, checked_only)
        if checked.code:
            return checked
    with shrink(argv[0], argv) as arguments:
        answer = run_command(arguments)
    # transkd-doctor may find something wrong with the machine that runs the tests
    code = 0 if argv[0] == "transkd-doctor" and answer.code == 1 else answer.code
    return Ran(code, answer.out, answer.message, tuple(argv))


def command_of(line: str) -> str:
    """Return the command of transkd in a line, without what stands before and after it; "" if there is none."""
    start = None if line.lstrip().startswith("#") else COMMAND.search(line)
    if start is None:
        return ""
    command = line[start.start() :].split(" | ")[0].rstrip(" &")
    return command.split(")")[0] if "$(" in line[: start.start()] else command


def _bash(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def script(block: Block) -> list[Line]:
    """Return a block's lines; those that cannot run are checked if they are commands of transkd, else left out."""
    lines = [Line(line) for line in block.given.splitlines()]
    for line in logical_lines(block.text):
        lines.append(Line(filled_in(line), checked=bool(block.need_of(line))))
    return lines


def logical_lines(text: str) -> list[str]:
    """Return the lines of a script, continued ones joined."""
    lines: list[str] = []
    continued = False
    for line in text.splitlines():
        if continued:
            lines[-1] += f"\n{line}"
        else:
            lines.append(line)
        continued = line.rstrip().endswith(("\\", "|", "&&"))
    return lines


def filled_in(line: str) -> str:
    """Return a command with what the page leaves to the reader filled in from the sandbox."""
    if not COMMAND.search(line):
        return line
    experiment = re.search(r"\+?experiment=(\w+?)_(?:mitb0|teacher)", line)
    data = re.search(r"(?<!\S)data=(\w+)", line)
    dataset = data[1] if data else experiment[1] if experiment else "cityscapes"
    teacher = f"runs/{'cityscapes' if dataset == 'synthetic' else dataset}_teacher-s0/model"
    line = re.sub(rf"(?<=teacher\.weights=){LEFT_OUT}", teacher, line)
    line = re.sub(rf"(?<=data\.root=){LEFT_OUT}", CUSTOM_FOLDER if dataset == "folder" else f"data/{dataset}", line)
    line = re.sub(r"(?<=runs/multirun/)DATE\w*", "*", line)
    line = re.sub(r"(?<=\sdata=)NAME", "camvid", line)
    line = re.sub(rf"(?<=\ssweep=){LEFT_OUT}", "methods", line)
    rest = "+experiment=camvid_mitb0 teacher.weights=runs/camvid_teacher-s0/model"
    rest += " seed=0,1" if " -m " in line else ""
    line = re.sub(rf"(?<=\s){LEFT_OUT}(?=\s|$)", rest, line)
    assert not re.search(r"[=\[,]…|=\.\.\.", line), f"nothing is known to fill in: {line}"
    return line


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run a block in the page's names, with trainings of one step on small images."""
    with (
        mock.patch.object(transkd, "SceneDataModule", _small_data),
        mock.patch.object(lightning, "Trainer", _short_trainer),
    ):
        exec(compile(block.given, f"what {block.where} takes for granted", "exec"), names)
        exec(compile(block.text, block.where, "exec"), names)


def check_python(block: Block) -> None:
    """Compile a block that cannot run, and resolve what it imports."""
    for node in ast.walk(ast.parse(block.text, block.where)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not missing, f"{block.where}: {node.module} has no {missing}"


_data, _trainer = transkd.SceneDataModule, lightning.Trainer


def _small_data(*given: Any, **options: Any) -> Any:
    return _data(*given, **{**options, "size": SIZE, "batch_size": 2, "workers": 0})


def _short_trainer(**options: Any) -> Any:
    fixed = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return _trainer(**{**options, **TINY_TRAINER, **fixed})


@contextlib.contextmanager
def fresh_modules(folder: Path) -> Iterator[None]:
    """Forget, afterwards, the modules that were imported from a folder and what they registered."""
    from transkd.data import datasets
    from transkd.distillation import registry as losses
    from transkd.models import heads
    from transkd.models.backbones import registry as backbones

    kept = [(named, dict(named)) for named in (losses._LOSSES, backbones._BACKBONES, heads._HEADS, datasets._LAYOUTS)]
    before = set(sys.modules)
    try:
        yield
    finally:
        for named, content in kept:
            named.clear()
            named.update(content)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if (file and not Path(file).is_absolute()) or file.startswith(str(folder)):
                del sys.modules[name]
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()
