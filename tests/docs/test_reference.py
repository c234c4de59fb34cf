"""The reference matches the code: keys, choices, names, files, exit codes and messages."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import docs_reference
import pytest
from docs_console import BLOCK, Console
from docs_reference import CONF, groups, own_keys
from omegaconf import OmegaConf

import transkd
import transkd.distillation.registry
import transkd.errors
from transkd.cli.app import report_error
from transkd.cli.commands import COMMANDS
from transkd.cli.help import help_text
from transkd.training.config import GROUPS

REFERENCE = docs_reference.REFERENCE
FILES = REFERENCE / "files.md"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_generated_pages_are_up_to_date() -> None:
    assert docs_reference.stale_pages() == [], "run: python scripts/docs_reference.py"


def test_every_installed_command_has_its_help_and_all_its_keys() -> None:
    installed = {entry.name for entry in entry_points(group="console_scripts") if entry.value.startswith("transkd.")}
    assert installed <= COMMANDS.keys()
    assert len(installed) > 6
    for command in COMMANDS:
        section = page("commands.md").partition(f"\n## {command}\n")[2].partition("\n## ")[0]
        assert help_text(command) in section
        for key in own_keys(command):
            assert f"| `{key.path}` |" in section


def test_every_choice_is_listed_and_says_what_it_is() -> None:
    sections = dict(re.findall(r"\n## (\w+)\n(.*?)(?=\n## |\Z)", page("configs.md"), re.DOTALL))
    files = {(path.parent.name, path.stem) for path in CONF.glob("*/*.yaml")}
    assert sections.keys() == {group for group, _ in files} | {path.partition("/")[0] for path in GROUPS}
    for group, choice in files:
        if choice != "base":
            assert f"| `{choice}` |" in sections[group]
    for choices in groups().values():
        assert all(
            choice.about or choice.group in ("student", "teacher") or choice.name == "base" for choice in choices
        )


def test_the_api_page_has_every_public_name() -> None:
    headings = set(re.findall(r"^### (\w+)$", page("api.md"), re.MULTILINE))
    assert {name for name in transkd.__all__ if not name.startswith("__")} <= headings
    errors = {name for name, value in vars(transkd.errors).items() if isinstance(value, type)} - {"Iterable"}
    assert "ConfigError" in errors
    assert errors <= headings
    registered = re.findall(r"^@register_loss\('(\w+)'\)$", page("api.md"), re.MULTILINE)
    ours = [name for name in transkd.available_losses() if loss_module(name).startswith("transkd.")]
    assert sorted(registered) == ours


def loss_module(name: str) -> str:
    return transkd.distillation.registry._LOSSES[name].__module__


def flattened(values: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def documented(heading: str) -> dict[str, bool]:
    """Return the keys of a table of files.md, and whether each is always there."""
    section = page("files.md").partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", section, re.MULTILINE)
    assert rows
    return {key: not what.startswith("Where") for keys, what in rows for key in re.findall(r"`([^`]+)`", keys)}


def compare(listed: dict[str, bool], there: list[str]) -> None:
    """Check that every key is documented, and every documented one is there or states when."""
    patterns = {key: re.compile(re.sub(r"(?<![a-z])[A-Z]{3,}", "[^.]+", re.escape(key))) for key in listed}
    assert [key for key in there if not any(pattern.fullmatch(key) for pattern in patterns.values())] == []
    missing = [key for key, pattern in patterns.items() if listed[key] and not any(map(pattern.fullmatch, there))]
    assert missing == []


@pytest.mark.slow
def test_what_a_run_leaves_is_as_documented(workshop: Console) -> None:
    run = workshop.folder / "runs/tiny"
    results = json.loads((run / "results.json").read_text())
    compare(dict.fromkeys(documented("results.json"), True), list(dict(flattened(results))))
    with (run / "metrics.csv").open() as file:
        compare(documented("metrics.csv"), next(csv.reader(file)))
    table = page("files.md").partition("## A training run")[2].partition("###")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    there = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    listed = {name for row in rows for name in re.findall(r"`(.*?)`", row)}
    assert {re.sub(r"^predictions/.*", "predictions/NAME.png", name) for name in there} == listed
    keys = re.findall(r"`([\w.+]+)(?:=[^`]*)?`", page("commands.md") + page("configs.md"))
    config = dict(flattened(OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))))
    assert len(config) > 50
    assert not [key for key in config if key not in keys and not key.endswith(".name")]


@pytest.mark.slow
def test_scores_json_is_as_documented(workshop: Console) -> None:
    arguments = "model=runs/tiny data=synthetic data.size=[32,64] workers=0 batch_size=2 resamples=10 output=scored"
    assert workshop.run(f"transkd-eval {arguments} format=cityscapes zip=true pictures=1").code == 0
    scores = json.loads((workshop.folder / "scored/scores.json").read_text())
    compare(documented("scores.json"), list(dict(flattened(scores))))
    assert {path.name for path in (workshop.folder / "scored").iterdir()} == {
        *("scores.json", "scores.md", "confusion.png", "best", "worst", "labelIds", "submission.zip")
    }


@pytest.mark.slow
def test_the_checks_json_is_as_documented(workshop: Console) -> None:
    answer = workshop.run("transkd-data action=check data=synthetic workers=0 pictures=0 output=check.json")
    assert answer.code == 0, answer.message
    found = json.loads((workshop.folder / "check.json").read_text())
    listed = documented("The check's JSON")
    names = {"splits.SPLIT.unknown_ids", "splits.SPLIT.sizes.SIZE"}
    assert names <= listed.keys()
    compare(listed, list(dict(flattened(found))))


@pytest.mark.slow
def test_every_error_message_is_what_the_command_says(workshop: Console) -> None:
    text = page("errors.md")
    first = BLOCK.search(text)
    assert first is not None
    rest = text[first.end() :]
    assert rest.count("\n$ transkd-") > 15
    assert workshop.answered(rest) == rest


def test_every_error_class_has_its_exit_code() -> None:
    rows = re.findall(r"^\| `(\w+Error)` \| .* \| (\d) \|$", page("errors.md"), re.MULTILINE)
    classes = {value.__name__: value for value in transkd.TransKDError.__subclasses__()}
    assert dict(rows).keys() == {name for name in classes if classes[name].__module__ == "transkd.errors"}
    for name, code in rows:
        assert report_error("transkd-train", classes[name]("x")) == int(code)


def exit_codes() -> set[int]:
    first_table = page("exit_codes.md").partition("\n## ")[0]
    return {
        int(code) for codes in re.findall(r"^\| ([\d, ]+) \|", first_table, re.MULTILINE) for code in codes.split(",")
    }


@pytest.mark.slow
def test_exit_codes_of_commands(workshop: Console) -> None:
    assert exit_codes() == {0, 1, 2, 129, 130, 137, 141, 143}
    assert workshop.run("transkd-data action=classes data=camvid").code == 0
    assert workshop.run("transkd-eval model=nothing data=synthetic").code == 1
    assert workshop.run("transkd-eval modell=nothing data=synthetic").code == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_exit_codes_of_signals(workshop: Console, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("transkd.cli.predict.run.predict_stills", stopped)
    answer = workshop.run("transkd-predict model=runs/tiny input=data/synthetic/leftImg8bit/val output=stopped")
    assert answer.code == 128 + number
    assert answer.code in exit_codes()
