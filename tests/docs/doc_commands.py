"""From a page's blocks to scripts and code that run: placeholders filled in, what cannot run only checked."""

from __future__ import annotations

import ast
import importlib
import re
from typing import Any
from unittest import mock

import lightning
from doc_pages import Block
from doc_shell import CHECK
from doc_small import SIZE, TINY_TRAINER

import transkd

COMMAND = re.compile(r"transkd-[a-z]+\b(?!/)")
LEFT_OUT = r"(?:…|\.\.\.)"
OWN = "PATH"
"""Where the sandbox holds a dataset of the reader's own."""
KINDS = {"folder": OWN}


def script(block: Block) -> str:
    """Return the block as a script: what cannot run is checked where it is a command of transkd, else left out."""
    lines = [_line(block, filled_in(line)) for line in logical_lines(block.text)]
    return "\n".join([block.given, *lines])


def check_line(command: str) -> str:
    """Return a line that checks a command of transkd, as far as it is one."""
    start = COMMAND.search(command)
    assert start is not None, command
    written = command[start.start() :].split(" | ")[0].rstrip(" &")
    return f"{CHECK}=1 {written.split(')')[0] if '$(' in command[: start.start()] else written}"


def logical_lines(text: str) -> list[str]:
    """Return the lines of a script, those that go on in the next one joined."""
    lines: list[str] = []
    goes_on = False
    for line in text.splitlines():
        if goes_on:
            lines[-1] += f"\n{line}"
        else:
            lines.append(line)
        goes_on = line.rstrip().endswith(("\\", "|", "&&"))
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
    line = re.sub(rf"(?<=data\.root=){LEFT_OUT}", KINDS.get(dataset, f"data/{dataset}"), line)
    line = re.sub(r"(?<=runs/multirun/)DATE\w*", "*", line)
    line = re.sub(r"(?<=\sdata=)NAME", "camvid", line)
    line = re.sub(rf"(?<=\ssweep=){LEFT_OUT}", "methods", line)
    rest = "+experiment=camvid_mitb0 teacher.weights=runs/camvid_teacher-s0/model"
    rest += " seed=0,1" if " -m " in line else ""
    line = re.sub(rf"(?<=\s){LEFT_OUT}(?=\s|$)", rest, line)
    assert not re.search(r"[=\[,]…|=\.\.\.", line), f"nothing is known to fill in: {line}"
    return line


def _line(block: Block, line: str) -> str:
    if line.lstrip().startswith("#") or not block.need_of(line):
        return line
    if re.match(r"\s*(export\s+)?\w+=\S*$|\s*(export\s+)?\w+=\"[^\"]*\"$", line):
        return line  # a variable, which the commands below may use
    return check_line(line) if COMMAND.search(line) else ""


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
