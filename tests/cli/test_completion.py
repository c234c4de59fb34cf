"""Shell completion: the right words, in a real bash too, and without anything slow."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from transkd.cli.app import config_folder
from transkd.cli.completion import COMMANDS, complete
from transkd.cli.completion_words import Words
from transkd.cli.config_keys import ConfigKeys
from transkd.cli.overrides import _keys
from transkd.errors import ConfigError

CONF = config_folder()
TOP = Path(__file__).resolve().parents[2]


def words(line: str) -> list[str]:
    name = line.split()[0].removeprefix("transkd-")
    return Words(CONF / ("train.yaml" if name == "train" else f"{name}_command.yaml")).of_line(line)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("transkd-train +experiment=cam", ["+experiment=camvid_mitb0", "+experiment=camvid_teacher"]),
        ("transkd-train experiment=cam", ["experiment=camvid_mitb0", "experiment=camvid_teacher"]),
        ("transkd-train +exp", ["+experiment="]),
        ("transkd-train seed=1 -m sweep=fus", ["sweep=fusion"]),
        ("transkd-train -m distillation=none,cwd", ["distillation=none,cwd", "distillation=none,cwd_logits"]),
        ("transkd-train dist", ["distillation.", "distillation="]),
        ("transkd-train train", ["trainer.", "trainer="]),
        ("transkd-train trainer.pre", ["trainer.precision="]),
        ("transkd-train trainer.precision=bf", ["trainer.precision=bf16-mixed"]),
        ("transkd-train data.r", ["data.root="]),
        ("transkd-train data=folder data.options.im", ["data.options.image_suffix=", "data.options.images="]),
        ("transkd-train distillation=transkd_ea distillation.losses.", None),
        ("transkd-train comp", ["compile="]),
        ("transkd-train compile=t", ["compile=true"]),
        ("transkd-train ~see", ["~seed"]),
        ("transkd-train --cfg ", ["job", "hydra", "all"]),
        ("transkd-train --mul", ["--multirun"]),
        ("transkd-train -", None),
        ("transkd-train hydra/launcher=job", ["hydra/launcher=joblib"]),
        ("transkd-train data.root=", []),
        ("transkd-train 'an open quote seed=", []),
        ("transkd-eval model=", []),
        ("transkd-eval protocol=p", ["protocol=paper"]),
        ("transkd-eval data=cam", ["data=camvid"]),
        ("transkd-eval exp", []),
        ("transkd-export format=h", ["format=huggingface"]),
        (
            "transkd-predict kinds=[overlay,co",
            ["kinds=[overlay,colour", "kinds=[overlay,compare", "kinds=[overlay,confidence"],
        ),
        ("transkd-data action=ch", ["action=check"]),
        ("transkd-data action=check pict", ["pictures="]),
        ("transkd-data action=check data=voc", ["data=voc2012"]),
        ("transkd-doctor format=", ["format=json", "format=markdown", "format=text"]),
    ],
)
def test_words_that_may_come_next(line: str, found: list[str] | None) -> None:
    if found is None:
        assert words(line)
    else:
        assert words(line) == found


def test_choices_of_ones_own_count(tmp_path: Path) -> None:
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/ours.yaml").write_text("# @package _global_\nextra: 1\n")
    line = f"transkd-train --config-dir {tmp_path / 'mine'} +experiment=ours ex"
    assert words(f"transkd-train --config-dir={tmp_path / 'mine'} experiment=o") == ["experiment=ours"]
    assert words(line) == ["experiment=", "extra="]


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        ("train", []),
        ("train", ["+experiment=acdc_mitb0"]),
        ("train", ["+experiment=voc2012_teacher", "distillation=transkd_ea", "logger=wandb", "+debug=overfit"]),
        ("eval_command", ["data=folder", "protocol=paper"]),
        ("data_command", ["action=check", "data=acdc"]),
        ("export_command", []),
    ],
)
def test_keys_are_those_that_hydra_composes(config: str, overrides: list[str]) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose(config, overrides)
    keys = ConfigKeys(CONF / f"{config}.yaml", overrides)
    found = set(_paths(keys, ""))
    assert found == _keys(composed)
    assert len(found) > 10


def _paths(keys: ConfigKeys, section: str) -> list[str]:
    found = []
    for name, value in keys.below(section):
        path = f"{section}.{name}" if section else name
        found += [path, *(_paths(keys, path) if isinstance(value, dict) else [])]
    return found


def test_every_command_is_completed() -> None:
    scripts = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert set(COMMANDS) == set(scripts)


SHIM = f"""#!/bin/sh
module=${{0##*/transkd-}}
exec {sys.executable} -c "import sys; sys.argv[0] = '$0'; from transkd.cli.$module import main; main()" "$@"
"""
BASH = """
eval "$(transkd-train -sc install=bash)"
ask() {
    COMP_LINE="$1" COMP_POINT=${#1}
    _transkd_complete "${1%% *}"
    printf '<%s>' "${COMPREPLY[@]}"
    echo
}
ask 'transkd-train +experiment=cam'
ask 'transkd-train distillation=transkd_g'
ask 'transkd-data action=cl'
ask 'transkd-train data.root=so'
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
ask 'transkd-train distillation=transkd_g'
ask 'transkd-train data.root=so'
complete -p transkd-eval
"""


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Return a folder with commands as an installation makes them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in COMMANDS:
        (folder / name).write_text(SHIM)
        (folder / name).chmod(0o755)
    return folder


def test_a_real_bash_gets_the_words(commands: Path, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    (tmp_path / "some_folder").mkdir()
    environment = {"PATH": f"{commands}:/usr/bin:/bin", "COMP_WORDBREAKS": " =:"}
    done = subprocess.run(
        [bash, "--norc", "-c", BASH], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "<camvid_mitb0 ><camvid_teacher >",  # readline puts what follows the = in the place of what follows it
        "<transkd_gl >",
        "<classes >",
        "<>",  # nothing of ours, so that bash looks for files
        "<distillation=transkd_gl >",
        "<data.root=some_folder>",
        "complete -o default -o nospace -F _transkd_complete transkd-eval",
    ]


def test_completion_imports_neither_hydra_nor_torch(commands: Path) -> None:
    code = (
        "import sys, os; os.environ['COMP_LINE'] = 'transkd-train +experiment=cam'; "
        "sys.argv = ['transkd-train', '-sc', 'query=bash']; from transkd.cli.train import main\n"
        "try: main()\nexcept SystemExit: print(sorted({'hydra', 'omegaconf', 'torch', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "+experiment=camvid_mitb0 " in done.stdout.splitlines()


def test_what_is_printed_for_zsh_and_taken_away_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert complete(CONF / "train.yaml", ["install=zsh"]) == 0
    script = capsys.readouterr().out
    assert f"compdef _transkd {' '.join(COMMANDS)}" in script
    assert complete(CONF / "train.yaml", ["uninstall=bash"]) == 0
    assert "complete -r transkd-train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ([], "give install=bash, install=zsh"),
        (["install"], "there is none for no shell; known: bash, zsh"),
        (["install=zhs"], "did you mean 'zsh'?"),
        (["remove=bash"], "give install=bash"),
    ],
)
def test_requests_that_make_no_sense(request_: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        complete(CONF / "train.yaml", request_)
    assert said in str(error.value)
