"""Every file in conf/ composes into a run's config, and the paper's recipe is the paper's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from omegaconf import OmegaConf

from transkd.cli.arguments import users_form
from transkd.cli.compose import composing
from transkd.cli.mistakes import find_mistakes
from transkd.data.datasets import get_layout
from transkd.options import find_problems
from transkd.training.config import TrainConfig

CONF = Path(__file__).resolve().parents[2] / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
DEBUGS = sorted(path.stem for path in (CONF / "debug").glob("*.yaml"))
CHOICES = sorted(
    f"{path.parent.name}={path.stem}"
    for path in CONF.glob("*/*.yaml")
    if path.stem != "base" and path.parent.name not in ("experiment", "sweep", "debug", "protocol", "action")
    if path.parent.name != "teacher" or path.stem == "auto"
)
PAPER_CLASS_WEIGHTS = """
    2.5959737, 6.741505, 3.5353868, 9.866315, 9.690922, 9.369371, 10.289124, 9.953209, 4.3098087, 9.490392,
    7.674411, 9.396925, 10.347794, 6.3928986, 10.226673, 10.241072, 10.28059, 10.396977, 10.05567
"""

Compose = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def composed() -> Compose:
    """Compose what a user's arguments mean."""

    def values(*arguments: str) -> dict[str, Any]:
        with composing("transkd-train") as primary:
            config = compose(primary, users_form(arguments))
        plain = OmegaConf.to_container(config, resolve=True)
        assert isinstance(plain, dict)
        return plain

    return values


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes(composed: Compose, experiment: str) -> None:
    config = TrainConfig.validated(composed(f"+experiment={experiment}", "distillation=transkd_gl"))
    assert config.distillation.name == "transkd_gl"
    assert config.name.startswith(experiment)
    assert config.output == f"runs/{config.name}"
    if experiment.endswith("_mitb0"):
        assert (config.student.backbone, config.teacher.backbone) == ("mit_b0", "mit_b2")
        assert "transkd_gl" in config.name


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_every_group_composes(composed: Compose, choice: str) -> None:
    choices = (
        [choice.replace("student", group) for group in ("student", "teacher")] if "student" in choice else [choice]
    )
    named = [f"{choice.partition('=')[0]}.backbone=resnet18" for choice in choices if choice.endswith("=timm")]
    problems = [str(problem) for problem in find_problems(TrainConfig, composed(*choices, *named))]
    if choice in ("trainer=gpu", "trainer=ddp"):  # Lightning has no GPU to find here
        problems = [problem for problem in problems if "backend" not in problem and "gpu" not in problem]
    assert not problems


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_any_backbone_is_a_choice(role: str) -> None:
    names = ("swin_tiny_patch4_window7_224", "convnext_tiny.fb_in22k_ft_in1k")
    problems, config = find_mistakes("transkd-train", [f"{role}={names[0]},{names[1]},lvt"], sweeps=True)
    assert not problems
    assert config is not None
    assert (config[role].backbone, config[role].pretrained) == (names[0], False)
    (wrong,), _ = find_mistakes("transkd-train", [f"{role}=swin_tinny"])
    assert wrong.startswith(f"{role}=swin_tinny: there is no such choice; ")
    assert find_mistakes("transkd-train", [f"{role}=mine", "imports=[mine]"])[0] == []


@pytest.mark.parametrize("debug", DEBUGS)
def test_debug_has_the_last_word_wherever_it_stands(composed: Compose, debug: str) -> None:
    after = composed("experiment=camvid_teacher", f"debug={debug}")
    assert composed(f"+debug={debug}", "+experiment=camvid_teacher") == after
    config = TrainConfig.validated(after)
    assert config.trainer.max_epochs < 400  # the experiment's
    assert config.name == f"debug_{debug}-camvid-mit_b2-none-s0"


def test_debug_batch_is_one_batch_and_arguments_beat_it(composed: Compose) -> None:
    values = composed("trainer.max_epochs=7", "debug=batch", "experiment=camvid_mitb0", "seed=3")
    assert values["name"] == "debug_batch-camvid-mit_b0-transkd_ea-s3"
    trainer = values["trainer"]
    assert (trainer["limit_train_batches"], trainer["limit_val_batches"], trainer["max_epochs"]) == (1, 1, 7)


@pytest.mark.parametrize("data", ["cityscapes", "acdc"])
@pytest.mark.parametrize("what", ["mitb0", "teacher"])
def test_the_papers_recipe(composed: Compose, data: str, what: str) -> None:
    config = TrainConfig.validated(composed(f"+experiment={data}_{what}"))
    assert dict(config.optimizer) == {
        "_target_": "torch.optim.AdamW",
        "lr": 6e-5,
        "betas": [0.9, 0.999],
        "weight_decay": 0.01,
    }
    assert config.schedule.model_dump() == {"name": "paper", "epochs": 1500}
    assert config.trainer.max_epochs == 1000
    assert config.trainer.gradient_clip_val is None
    assert config.data.size == (512, 1024)
    assert config.data.batch_size == {"mitb0": 2, "teacher": 8}[what]
    assert config.augment.recipe == "paper"
    assert config.objective.class_weights == "dataset"
    assert (config.objective.loss_resolution, config.objective.score_resolution) == ("logit", "logit")
    assert (config.student.drop_path_rate, config.student.dropout) == (0.1, 0.1)
    assert config.student.weights == "scratch"
    weights = get_layout(config.data.name).classes.weights
    assert weights == tuple(float(number) for number in PAPER_CLASS_WEIGHTS.split(","))


def test_the_transkd_variants_are_the_papers_pairs(composed: Compose) -> None:
    pairs = {"transkd_base": "pea", "transkd_gl": "gl_mixer", "transkd_ea": "ea"}
    for distillation, embedding in pairs.items():
        losses = composed(f"distillation={distillation}")["distillation"]["losses"]
        assert losses == {"csf": {"weight": 1.0}, embedding: {"weight": 1.0}}
