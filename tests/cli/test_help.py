"""Help and the composed config, at once: without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command_runs import Command
from omegaconf import OmegaConf

SLOW = ("torch", "lightning", "timm", "albumentations", "cv2", "wandb")
CALL = """
import sys
sys.argv = {argv}
from transkd.cli.{module} import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("IMPORTED", sorted(set({slow}) & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("train", ["--help"], "+experiment=NAME"),
        ("train", ["+experiment=acdc_mitb0", "--cfg", "job"], "name: acdc"),
        ("data", ["--help"], "transkd-data action=synth root="),
        ("eval", ["--help"], "transkd-eval model=runs/NAME/student data="),
        ("export", ["--help"], "transkd-export model=runs/NAME/student format="),
        ("profile", ["--help"], "transkd-profile models="),
        ("predict", ["--help"], "transkd-predict model=runs/NAME/student input="),
    ],
)
def test_help_and_config_import_nothing_slow(module: str, arguments: list[str], said: str) -> None:
    code = CALL.format(argv=[f"transkd-{module}", *arguments], module=module, slow=SLOW)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert done.stdout.splitlines()[-1] == "IMPORTED []"


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
