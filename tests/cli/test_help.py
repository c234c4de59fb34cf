"""Help, version and the composed config, at once: without torch, and most of it without Hydra."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import Command

import transkd
from transkd.cli.arguments import split_arguments, users_form
from transkd.cli.commands import COMMANDS
from transkd.cli.help import choices, help_text, short_help
from transkd.cli.mistakes import find_mistakes, missing_keys

SLOW = ("torch", "lightning", "timm", "albumentations", "cv2", "wandb", "matplotlib")
CALLS = """
import contextlib, io, sys
from transkd.cli.app import main
printed = {{}}
for name, arguments in {calls}:
    sys.argv = [name, *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main(name)
        except SystemExit as end:
            assert not end.code, end.code
    printed[name, *arguments] = out.getvalue()
print(repr((printed, sorted({slow} & sys.modules.keys()))))
"""


def printed_without(slow: set[str], calls: list[tuple[str, list[str]]]) -> dict[tuple[str, ...], str]:
    """Call commands in one fresh process, and check what it did not import."""
    code = CALLS.format(calls=calls, slow=slow)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed, imported = eval(done.stdout)
    assert imported == []
    return dict(printed)


def test_help_and_version_import_not_even_hydra() -> None:
    slow = {*SLOW, "hydra", "omegaconf", "rich"}
    printed = printed_without(slow, [(name, [flag]) for name in COMMANDS for flag in ("--help", "-h", "--version")])
    for name in COMMANDS:
        assert printed[name, "--help"] == printed[name, "-h"] == help_text(name) + "\n"
        assert printed[name, "--version"] == f"transkd {transkd.__version__}\n"


def test_the_composed_config_imports_nothing_slow() -> None:
    calls = [("transkd-train", ["+experiment=acdc_mitb0", "--cfg", "job"]), ("transkd-eval", ["--cfg", "job"])]
    printed = printed_without(set(SLOW), calls)
    assert "name: acdc" in printed["transkd-train", "+experiment=acdc_mitb0", "--cfg", "job"]
    assert "model: ???" in printed["transkd-eval", "--cfg", "job"], "a key that is missing is shown as such"


def examples_of_help(text: str) -> list[str]:
    """Return the commands under "Examples": joined where a backslash ends a line, without what is said beside them."""
    block = re.split(r"\nExamples:?\n", text)[1].partition("\n\n")[0]
    lines = re.sub(r"\s*\\\n\s*", " ", block).splitlines()
    return [re.split(r"\s{3,}", line.strip())[0] for line in lines]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_what_examples_and_where_more_is(name: str) -> None:
    text = help_text(name)
    assert text.startswith(f"{name}: ")
    assert re.search(r"More: docs/\w+\.md(, docs/\w+\.md)*$", text, flags=re.MULTILINE)
    assert max(map(len, text.splitlines())) < 80, "a line as long as the terminal is wide breaks in some"
    examples = examples_of_help(text)
    assert len(examples) >= 3
    for example in examples:
        _, overrides = split_arguments(users_form(shlex.split(example.partition(" > ")[0])[1:]))
        problems, config = find_mistakes(name, overrides)
        assert config is not None
        assert (problems, missing_keys(config)) == ([], []), example


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_key_and_every_choice_of_a_group(name: str) -> None:
    text = help_text(name)
    _, config = find_mistakes(name, [])
    assert config is not None
    for key in config:
        assert re.search(rf"^ *{key}[=.]", text, flags=re.MULTILINE), key
    for group in re.findall(r"^  \+?(\w+)=NAME", text, flags=re.MULTILINE):
        listed = re.search(rf"^  \+?{group}=NAME.*?(?=^  \S|\n\n)", text, flags=re.MULTILINE | re.DOTALL)
        assert listed is not None
        assert set(choices(group)) <= set(re.findall(r"[\w.-]+", listed[0])), group


def test_a_closed_pipe_prints_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "transkd.cli.train", "--cfg=job"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not command.does_without])
def test_without_arguments_there_is_a_short_help(run: Command, name: str, tmp_path: Path) -> None:
    outcome = run(name=name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == short_help(name) + "\n"
    assert outcome.err.count(f"\n  {name} ") >= 3
    assert outcome.err.endswith(f"{name} --help lists all options.\n")
    assert list(tmp_path.iterdir()) == []


def test_completion_is_hydras(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run("-sc", "install=bash")
    assert outcome.code == 0
    assert "complete -o nospace -o default -F hydra_bash_completion transkd-train" in outcome.out
    monkeypatch.setenv("COMP_LINE", "transkd-train distillation=transkd_g")
    assert run("-sc", "query=bash").out.split() == ["distillation=transkd_gl"]
