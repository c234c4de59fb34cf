"""The schema of a training run's config: what each key means, checked all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from transkd.errors import ConfigError
from transkd.evaluation import Resolution
from transkd.models.checks import SMALLEST_SIDE
from transkd.training.problems import Problem, mistakes, schema_problems

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=SMALLEST_SIDE)]
Size = Annotated[
    Side | tuple[Side, Side] | Literal["native"],
    Field(
        description=f"a short side in pixels (512), [height, width] ([512, 1024]), {SMALLEST_SIDE} or more, or native"
    ),
]
ClassWeights = Annotated[
    Literal["none", "dataset"] | list[Annotated[float, Field(ge=0, allow_inf_nan=False)]],
    Field(description="none, dataset or a list of numbers, 0 or more, one a class"),
]


class Section(BaseModel):
    """A part of the config: unknown keys are errors, values are fixed once read, and a number will do for text."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class DataConfig(Section):
    """What is trained and scored on."""

    name: str
    root: str
    size: Size
    batch_size: Positive
    val_batch_size: Positive
    workers: Annotated[int, Field(ge=0)]
    train_split: str
    val_split: str
    label_size: Literal["image", "own"]
    options: dict[str, Any]


class AugmentConfig(Section):
    """What happens to a training scene before the student sees it."""

    recipe: str
    options: dict[str, Any]


class SegmenterConfig(Section):
    """What a student and a teacher have in common."""

    head: str | None
    head_width: Positive | None
    pretrained: Annotated[bool | str, Field(description="true, false or the path of a file of backbone weights")]


class StudentConfig(SegmenterConfig):
    """The segmenter that trains."""

    backbone: str
    weights: str
    drop_path_rate: Share | None
    dropout: Share


class TeacherConfig(SegmenterConfig):
    """The frozen segmenter; its weights say what it is where ``backbone`` is null."""

    backbone: str | None
    weights: str | None


class DistillationConfig(Section):
    """Which registered losses compare student and teacher, each with its weight and options."""

    name: str
    losses: dict[str, dict[str, Any]]


class ObjectiveConfig(Section):
    """The task loss, and where scores are taken."""

    class_weights: ClassWeights
    loss_resolution: Resolution
    score_resolution: Resolution


class PolySchedule(Section):
    """Polynomial decay with warm-up, every step."""

    name: Literal["poly"]
    power: Annotated[float, Field(gt=0)]
    warm_up: Share
    start: Annotated[float, Field(ge=0, le=1)]


class PaperSchedule(Section):
    """Linear decay to zero, every epoch."""

    name: Literal["paper"]
    epochs: Positive


class TensorBoardConfig(Section):
    """Also log to TensorBoard files in the run's folder."""


class WandbConfig(Section):
    """Also log to Weights & Biases; offline where there is no key or no network."""

    project: str
    entity: str | None
    group: str | None
    tags: list[str]
    mode: Literal["auto", "online", "offline"]
    timeout: Annotated[float, Field(gt=0)]


class LoggerConfig(Section):
    """Loggers beside metrics.csv and the pictures, which every run has."""

    tensorboard: TensorBoardConfig | None = None
    wandb: WandbConfig | None = None


class CheckpointConfig(Section):
    """When the run saves, and which checkpoint becomes the saved model."""

    every_n_steps: Positive
    select: Literal["best", "last"]


class TrainConfig(Section):
    """Everything that a training run is made from."""

    name: str
    output: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    resume: str
    imports: list[str]
    data: DataConfig
    augment: AugmentConfig
    student: StudentConfig
    teacher: TeacherConfig
    distillation: DistillationConfig
    objective: ObjectiveConfig
    optimizer: dict[str, Any]
    schedule: Annotated[PolySchedule | PaperSchedule, Field(discriminator="name")]
    trainer: dict[str, Any]
    logger: LoggerConfig
    callbacks: dict[str, dict[str, Any]]
    checkpoint: CheckpointConfig
    ema_decay: Share | None
    channels_last: bool
    compile: bool
    pictures: Annotated[int, Field(ge=0)]


def config_problems(values: Mapping[str, Any]) -> list[Problem]:
    """List every key of a config that is unknown or missing, and every value, name and option that does not fit.

    Args:
        values: plain containers, as ``OmegaConf.to_container(config, resolve=True)`` gives them.
    """
    from transkd.training.checks import setting_problems

    problems = schema_problems(TrainConfig, values)
    return problems + setting_problems(values, problems)


def parse_config(values: Mapping[str, Any]) -> TrainConfig:
    """Check a composed config.

    Args:
        values: plain containers, as ``OmegaConf.to_container(config, resolve=True)`` gives them.

    Raises:
        ConfigError: listing all that :func:`config_problems` finds.
    """
    problems = config_problems(values)
    if problems:
        raise ConfigError(mistakes(problems))
    return TrainConfig.model_validate(values)
