"""Every command of README.md and docs/ is run, or, where it says what it needs, checked."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from doc_commands import check_line, check_python, filled_in, logical_lines, run_python, script
from doc_pages import REASONS, SHELL, TOP, Block, Need, blocks, inline_commands, pages
from doc_sandbox import build
from doc_shell import Shell, call, fresh_modules
from doc_small import small

from help_examples import examples_of_help
from transkd.cli.app import COMMANDS
from transkd.cli.help import help_text

PAGES = pages()
TYPED = re.compile(r"^\s*(?:[$>] )?transkd-[a-z]+ (?:[^:]*=|--?\w)", re.MULTILINE)
FOLLOWED = "docs/contributing.md"
"""Its recipes are followed as they are, by test_recipes.py."""
SHOWN = {"docs/reference/errors.md": ("console",)}
"""Blocks that other tests run: commands with their answers."""


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("documented"))


@pytest.fixture
def sandbox(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with all that pages name, and links to what lies at the top of a checkout."""
    folder = Path(shutil.copytree(furnished, tmp_path / "sandbox"))
    for name in ("scripts", "conf", "benchmarks", "notebooks"):
        (folder / name).symlink_to(TOP / name)
    (folder / "docs").mkdir()
    for page in ("docs/results", "docs/profile.md"):
        copy = shutil.copytree if (TOP / page).is_dir() else shutil.copy
        copy(TOP / page, folder / page)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(folder)  # where pages keep modules of the reader's own
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if page != FOLLOWED])
def test_blocks_of_a_page_run(page: str, sandbox: Path) -> None:
    found = blocks(page)
    if _names_before_making("student.onnx", found):
        assert call(["transkd-export", "model=runs/NAME/student", "format=onnx", "output=student.onnx"], small) == 0
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
    text = script(block)
    ran = Shell(folder, small).run(text)
    last = ran.calls[-1] if ran.calls else None
    assert ran.code == 0, (
        f"{block.where} ends with {ran.code}, after {last and ' '.join(last.argv)}\n{ran.output[-3000:]}"
    )
    failed = [one for one in ran.calls if one.code]
    assert not failed, f"{block.where}: {failed}"
    typed = sum(bool(re.search(r"(?<![\w/-])transkd-[a-z]+ ", line.split(" # ")[0])) for line in logical_lines(text))
    assert len(ran.calls) >= typed - text.count("$(transkd"), f"{block.where}: only {ran.calls} of\n{text}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_are_right(page: str, sandbox: Path) -> None:
    commands = inline_commands(page)
    (sandbox / "student.onnx").touch()
    lines = [check_line(filled_in(command)) for _, command in commands]
    ran = Shell(sandbox, small).run("\n".join(["set +e", *lines, "true"]))
    wrong = [(one.argv, one.error) for one in ran.calls if one.code and not _lacks_arguments(one.error)]
    assert not wrong, f"{page}: {wrong}"
    assert len(ran.calls) == len(commands), ran.output


def _lacks_arguments(error: str) -> bool:
    """Return whether a command was named, such as ``transkd-data action=check``, and not written out."""
    lines = error.splitlines()[1:]
    return bool(lines) and all(re.match(r"  \S+: is missing", line) for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_help_are_right(name: str, sandbox: Path) -> None:
    text = help_text(name)
    commands = examples_of_help(text)
    assert commands, text
    (sandbox / "student.onnx").touch()
    assert all(command.startswith("transkd-") for command in commands)
    ran = Shell(sandbox, small).run("\n".join(["set +e", *(check_line(filled_in(line)) for line in commands), "true"]))
    wrong = [(one.argv, one.error) for one in ran.calls if one.code]
    assert not wrong
    assert len(ran.calls) == len(commands), ran.output


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
    found = [
        (block, line)
        for page in PAGES
        for block in blocks(page)
        if block.language in SHELL
        for line in logical_lines(block.text)
        if re.search(r"transkd-[a-z]+ ", line) and not line.startswith("#")
    ]
    run = [line for block, line in found if not block.need_of(line)]
    assert len(found) > 60
    assert len(run) > len(found) / 2
