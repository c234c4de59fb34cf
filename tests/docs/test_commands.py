"""Every command of README.md and docs/ composes without mistakes; every Python block names what exists."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from doc_pages import BLOCK, TOP, Block, blocks, commands, inline_commands, modules_of, pages, write_file
from omegaconf import OmegaConf

import transkd
from transkd.cli.arguments import split_arguments, users_form
from transkd.cli.mistakes import refuse_mistakes
from transkd.errors import ConfigError

PAGES = pages()
NOT_HERE = re.compile(r"no supported gpu backend found|there is no such file or folder$|: is missing")
"""What a command may lack here: a GPU, what its reader has made, and arguments of one that is only named."""
LEFT_OUT = {
    "docs/reference/errors.md": "shows mistakes; test_reference.py compares the answers",
    "docs/contributing.md": "test_recipes.py follows it",
}


@pytest.fixture(scope="module")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Enter a folder with the files that pages show; read each YAML file once, most of what composing takes."""
    folder = tmp_path_factory.mktemp("documented")
    for page in PAGES:
        for block in blocks(page):
            if block.file is not None:
                write_file(block, folder)
    load = OmegaConf.load
    parsed = cache(lambda text: load(io.StringIO(text)))

    def load_once(file: Any) -> Any:
        text = Path(file).read_text(encoding="utf-8") if isinstance(file, Path | str) else file.read()
        return copy.deepcopy(parsed(text))

    with modules_of(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConf, "load", load_once)
        yield


def filled_in(command: str) -> list[str]:
    """Return a command's words, with values for what the page leaves to the reader."""
    for pattern, value in (
        (r"(?<=\s)(…|\.\.\.)(?=\s|$)", "+experiment=camvid_mitb0 teacher.weights=random"),
        (r"\$\(jq .*\)", "none"),
        (r"(?<=\ssweep=)…", "methods"),
        (r"(?<=\sdata=)NAME", "camvid"),
        (r"(?<=[=\[,])…", "random"),
    ):
        command = re.sub(pattern, value, command)
    return shlex.split(command)


def mistakes(command: str) -> list[str]:
    """Return what is wrong with a command, but for what it may lack here."""
    name, *arguments = filled_in(command)
    options, overrides = split_arguments(users_form(arguments))
    if options.shell_completion:  # Hydra's own
        return []
    try:
        refuse_mistakes(name, options, overrides)
    except ConfigError as error:
        _, *lines = str(error).splitlines() if "\n" in str(error) else ["", str(error)]
        return [f"{command}: {line.strip()}" for line in lines if not NOT_HERE.search(line)]
    return []


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=() if p == "README.md" else pytest.mark.slow) for p in PAGES if p not in LEFT_OUT],
)
@pytest.mark.usefixtures("_prepared")
def test_commands_of_a_page_have_no_mistakes(page: str) -> None:
    in_blocks = [command for block in blocks(page) if block.language == "bash" for command in commands(block)]
    found = dict.fromkeys([*in_blocks, *inline_commands(page)])
    assert not [line for command in found for line in mistakes(command)]


def test_every_command_is_found() -> None:
    for page in PAGES:
        text = BLOCK.sub("", (TOP / page).read_text(encoding="utf-8"))
        assert "```" not in text, f"{page} has a fence that is not closed"
        for block in blocks(page):
            typed = re.search(r"^\s*(\$ )?transkd-[a-z]+ (?:[^:]*=|--?\w)", block.text, re.MULTILINE)
            assert not typed or block.language in ("bash", "console"), f"{block.where}: fence it as bash: {typed[0]}"
    found = [command for page in PAGES for block in blocks(page) for command in commands(block)]
    assert len(found) > 100


def attribute(node: ast.expr, names: dict[str, Any]) -> Any:
    """Return what an expression of dotted names is, such as ``transkd.create_loss``, None for any other."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := attribute(node.value, names)) is not None:
        return getattr(owner, node.attr) if inspect.ismodule(owner) else None
    return None


def check_python(block: Block, names: dict[str, Any]) -> None:
    """Import what a block imports, and bind the arguments of its calls of what transkd has."""
    tree = ast.parse(block.text, block.where)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), block.where, "exec"), names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            attribute(node, names)
        elif isinstance(node, ast.Call) and (called := attribute(node.func, names)) is not None:
            stars = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg is None)]
            if getattr(called, "__module__", "").startswith("transkd.") and not any(
                isinstance(argument, ast.Starred) for argument in stars
            ):
                inspect.signature(called).bind_partial(*node.args, **{k.arg: k for k in node.keywords if k.arg})


def python_blocks() -> Sequence[str]:
    return [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", python_blocks())
@pytest.mark.usefixtures("_prepared")
def test_python_of_a_page_imports_and_calls_what_there_is(page: str) -> None:
    names: dict[str, Any] = {"transkd": transkd}
    for block in blocks(page):
        if block.language == "python" and page != "docs/contributing.md":
            if block.file is not None:
                importlib.import_module(block.file.removesuffix(".py").replace("/", "."))
            check_python(block, names)
