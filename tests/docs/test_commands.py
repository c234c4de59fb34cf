"""Every command of README.md and docs/ is run, or checked where a comment states why it cannot run."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from doc_commands import Line, call, check_python, command_of, filled_in, fresh_modules, run_lines, run_python, script
from doc_pages import REASONS, SHELL, TOP, Block, Need, blocks, inline_commands, pages
from doc_sandbox import build
from doc_small import small

from help_examples import examples_of_help
from transkd.cli.commands import COMMANDS
from transkd.cli.help import help_text

PAGES = pages()
TYPED = re.compile(r"^\s*(?:[$>] )?transkd-[a-z]+ (?:[^:]*=|--?\w)", re.MULTILINE)
FOLLOWED = "docs/contributing.md"
"""Its recipes are followed as they are, by test_recipes.py."""
SHOWN = {"docs/reference/errors.md": ("console",)}
"""Blocks that other tests run: commands with their answers."""


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with all that pages name, and links to what lies at the top of a checkout."""
    folder = build(tmp_path_factory.mktemp("documented"))
    for name in ("scripts", "conf", "benchmarks", "notebooks"):
        (folder / name).symlink_to(TOP / name)
    shutil.copytree(TOP / "docs/results", folder / "docs/results")
    shutil.copy(TOP / "docs/profile.md", folder / "docs")
    return folder


@pytest.fixture
def sandbox(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a copy of that folder."""
    return _entered(Path(shutil.copytree(furnished, tmp_path / "sandbox", symlinks=True)), monkeypatch)


@pytest.fixture
def untouched(furnished: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Enter the folder itself, to check commands that write nothing."""
    (furnished / "student.onnx").touch()
    yield _entered(furnished, monkeypatch)
    (furnished / "student.onnx").unlink()


def _entered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(folder)  # where pages keep custom modules
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page != FOLLOWED])
def test_blocks_of_a_page_run(page: str, sandbox: Path) -> None:
    found = blocks(page)
    if _names_before_making("student.onnx", found):
        assert (
            call(["transkd-export", "model=runs/NAME/student", "format=onnx", "output=student.onnx"], small).code == 0
        )
    for block in found:
        if block.file is not None:
            path = sandbox / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{block.text}\n")
    names: dict[str, object] = {"__name__": "page"}
    with fresh_modules(sandbox):
        for block in found:
            if block.language in SHELL:
                _run_shell(block, sandbox)
            elif block.language == "python" and block.file is not None:
                importlib.import_module(block.file.removesuffix(".py").replace("/", "."))
            elif block.language == "python":
                (check_python if block.need_of(block.text) else lambda one: run_python(one, names))(block)


def _names_before_making(file: str, found: Sequence[Block]) -> bool:
    text = "\n".join(block.text for block in found if block.language in (*SHELL, "python"))
    made = text.find(f"output={file}")
    return file in text[: made if made >= 0 else None]


def _run_shell(block: Block, folder: Path) -> None:
    if block.file is not None:  # a script to be handed to others
        block = replace(block, needs=(Need("slurm"),))
    for answer in run_lines(script(block), folder, small):
        assert answer.code == 0, f"{block.where}: {answer}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_are_right(page: str, untouched: Path) -> None:
    lines = [Line(filled_in(command), checked=True) for command in inline_commands(page)]
    wrong = [one for one in run_lines(lines, untouched) if one.code and not _lacks_arguments(one.message)]
    assert not wrong


def _lacks_arguments(error: str) -> bool:
    """Return whether a command was named, such as ``transkd-data action=check``, and not written out."""
    lines = error.splitlines()[1:]
    return bool(lines) and all(re.match(r"  \S+: is missing", line) for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_help_are_right(name: str, untouched: Path) -> None:
    commands = examples_of_help(help_text(name))
    assert commands
    assert all(command.startswith("transkd-") for command in commands)
    assert not [one for one in run_lines([Line(filled_in(c), checked=True) for c in commands], untouched) if one.code]


@pytest.mark.parametrize("page", PAGES)
def test_no_command_escapes(page: str) -> None:
    for block in blocks(page):
        if block.language not in (*SHELL, *SHOWN.get(page, ())):
            typed = TYPED.search(block.text)
            assert typed is None, f"{block.where}: fence this command as bash, so that it is run: {typed and typed[0]}"
        for need in block.needs:
            assert need.reason in REASONS, f"{block.where}: needs {need.reason}? known: {REASONS}"
            assert need.text in block.text, f"{block.where}: no command contains {need.text}"


def test_pages_are_found_and_most_commands_run() -> None:
    assert {"README.md", "docs/training.md", "docs/losses.md"} < set(PAGES)
    found = [block for page in PAGES for block in blocks(page) if block.language in SHELL]
    lines = [line for block in found for line in script(block) if command_of(line.text)]
    assert len(lines) > 60
    assert sum(not line.checked for line in lines) > len(lines) / 2
