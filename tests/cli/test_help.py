"""Help, version and the composed config, at once: without torch, and most of it without Hydra."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from command_runs import Command
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import transkd
from help_examples import examples_of_help
from transkd.cli.app import DO_WITHOUT, config_folder
from transkd.cli.arguments import split_arguments, users_form
from transkd.cli.completion import COMMANDS
from transkd.cli.help import help_text, short_help
from transkd.cli.overrides import _keys, check_overrides

CONF = config_folder()
PRIMARY = {name: "train" if name == "transkd-train" else f"{name[8:]}_command" for name in COMMANDS}
SLOW = ("torch", "lightning", "timm", "albumentations", "cv2", "wandb")
CALLS = """
import contextlib, io, sys
from importlib import import_module
said = {{}}
for name, arguments in {calls}:
    sys.argv = [name, *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            import_module("transkd.cli." + name[8:]).main()
        except SystemExit as end:
            assert not end.code, end.code
    said[name, *arguments] = out.getvalue()
print(repr((said, sorted({slow} & sys.modules.keys()))))
"""


def said_without(slow: set[str], calls: list[tuple[str, list[str]]]) -> dict[tuple[str, ...], str]:
    """Call commands in one fresh process, and check what it did not import."""
    code = CALLS.format(calls=calls, slow=slow)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, imported = eval(done.stdout)
    assert imported == []
    return dict(said)


def test_help_and_version_import_not_even_hydra() -> None:
    flags = ("--help", "-h", "--version")
    said = said_without({*SLOW, "hydra", "omegaconf", "rich"}, [(name, [flag]) for name in COMMANDS for flag in flags])
    for name in COMMANDS:
        text = said[name, "--help"]
        assert text == said[name, "-h"] == help_text(CONF / f"{PRIMARY[name]}.yaml") + "\n"
        assert text.startswith(f"{name}: ")
        assert said[name, "--version"] == f"transkd {transkd.__version__}\n"


def test_the_composed_config_imports_nothing_slow() -> None:
    calls = [("transkd-train", ["+experiment=acdc_mitb0", "--cfg", "job"]), ("transkd-eval", ["--cfg", "job"])]
    said = said_without(set(SLOW), calls)
    assert "name: acdc" in said["transkd-train", "+experiment=acdc_mitb0", "--cfg", "job"]
    assert "model: ???" in said["transkd-eval", "--cfg", "job"], "what is missing is no mistake where a config is shown"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_where_and_three_examples(name: str) -> None:
    text = help_text(CONF / f"{PRIMARY[name]}.yaml")
    lines = text.splitlines()
    assert re.fullmatch(rf"{name}: .*\.", lines[0])
    assert lines[1:3] == ["", "Examples"]
    assert len(list(examples(text))) >= 3
    assert "(default" in text or "what people set (" in text.lower()
    (more,) = re.findall(r"More: (.*)$", text, flags=re.MULTILINE)
    assert re.fullmatch(r"docs/\w+\.md(, docs/\w+\.md)*", more)
    assert max(map(len, lines)) < 80, "a line as long as the terminal is wide breaks in some"


def examples(text: str) -> Iterator[list[str]]:
    for command in examples_of_help(text):
        yield shlex.split(command.partition(" > ")[0])[1:]


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_and_keys_of_help_exist(name: str) -> None:
    text = help_text(CONF / f"{PRIMARY[name]}.yaml")
    for arguments in examples(text):
        _, overrides = split_arguments(users_form(arguments))
        checked = check_overrides(CONF, PRIMARY[name], overrides)
        assert (checked.problems, checked.missing) == ([], ()), arguments
    named = set(re.findall(r"(?<![\w.+'{])\+?([a-z][a-z_0-9.]*)=", text))
    missing = named - keys_of(name) - {"docs", "distillation.losses.csf.schedule"}
    assert not missing


def keys_of(name: str) -> set[str]:
    """Return every key and group that some command line of a command has."""
    lines = {
        "transkd-train": [["+experiment=camvid_mitb0"]],
        "transkd-eval": [["data=camvid"]],
        "transkd-export": [["data=camvid"]],
        "transkd-data": [
            ["action=synth"],
            ["action=nyuv2"],
            *([f"action={action}", "data=camvid"] for action in ("check", "classes", "download")),
        ],
    }
    groups = {"experiment", "debug", "sweep", "action", "student", "teacher"}
    found: set[str] = set(groups)
    for overrides in lines.get(name, [[]]):
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            found |= _keys(compose(PRIMARY[name], overrides))
    return found


def files_of_keys() -> list[Path]:
    return [*(CONF / f"{primary}.yaml" for primary in PRIMARY.values()), *sorted((CONF / "action").glob("*.yaml"))]


@pytest.mark.parametrize("path", files_of_keys(), ids=lambda path: path.stem)
def test_every_key_has_a_comment(path: Path) -> None:
    """The comments are what the reference of the commands says of the keys."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    bare = [
        node.value for node in keys(yaml.compose(text)) if not lines[node.start_mark.line - 1].strip().startswith("#")
    ]
    assert bare == []


def keys(mapping: yaml.MappingNode) -> Iterator[yaml.ScalarNode]:
    for key, value in mapping.value:
        if key.value == "defaults":
            entries = (entry for entry in value.value if isinstance(entry, yaml.MappingNode))
            yield from (group for entry in entries for group, _ in entry.value if "hydra/" not in group.value)
        elif key.value != "hydra":
            yield key
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                yield from keys(value)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["-sc", "install=bash"], 0),
        (["seed=1", "--cfg", "job"], 128 + signal.SIGPIPE),  # more than Python's buffer
        (["seed=1", "--cfg", "job", "--package", "checkpoint"], 128 + signal.SIGPIPE),  # less
    ],
)
def test_nobody_reads_on(arguments: list[str], code: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "transkd.cli.train", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_stream_that_knows_few_signs_gets_others(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "transkd.cli.train", "--help"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert b"mit_b0 ? b5" in done.stdout


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - set(DO_WITHOUT)))
def test_without_arguments_there_is_a_hint(run: Command, name: str, tmp_path: Path) -> None:
    outcome = run(name=name)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err == short_help(CONF / f"{PRIMARY[name]}.yaml") + "\n"
    assert outcome.err.startswith(f"{name}: ")
    assert outcome.err.count(f"\n  {name} ") >= 3
    assert outcome.err.endswith(f"{name} --help says what else there is.\n")
    assert list(tmp_path.iterdir()) == []


def test_help_names_what_people_set(run: Command) -> None:
    text = run("--help").out
    for key in ("data.root=", "teacher.weights=", "seed=", "resume=", "distillation=", "trainer.max_epochs=", "debug="):
        assert key in text
    assert "camvid" in text
    assert "Traceback" not in text


def test_the_composed_config_is_yaml_of_every_key(run: Command) -> None:
    outcome = run("+experiment=cityscapes_mitb0", "seed=5", "--cfg", "job", "--resolve")
    assert outcome.code == 0, outcome.err
    config = OmegaConf.create(outcome.out)
    assert config.name == "cityscapes_mitb0-transkd_ea-s5"
    assert config.optimizer.lr == 6e-5
    assert config.trainer.max_epochs == 1000


def test_a_mistake_is_told_instead_of_a_config(run: Command) -> None:
    assert "did you mean 'distillation'?" in run("distilation=none", "--cfg", "job").refused()
