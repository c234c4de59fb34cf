"""The schema of a training run's config: what each key means, checked all at once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import lightning as L
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from transkd.errors import ConfigError, did_you_mean
from transkd.evaluation import Resolution
from transkd.training.instantiate import check_target

OWNED_BY_RUN = {
    "callbacks": "callbacks",
    "logger": "logger",
    "plugins": "trainer.precision",
    "default_root_dir": "output",
    "enable_checkpointing": "checkpoint.every_n_steps",
    "use_distributed_sampler": "data.batch_size",
}
TRAINER_KEYS = set(inspect.signature(L.Trainer.__init__).parameters) - {"self"}
Size = int | tuple[int, int] | Literal["native"]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the config: unknown keys are errors, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    options: dict[str, Any] = {}


class AugmentConfig(Section):
    """What happens to a training scene before the student sees it."""

    recipe: str
    options: dict[str, Any] = {}


class SegmenterConfig(Section):
    """A student or a teacher."""

    backbone: str
    head: str
    head_width: Positive | None
    weights: str | None
    drop_path_rate: Share = 0.0
    dropout: Share = 0.0


class DistillationConfig(Section):
    """Which registered losses compare student and teacher, each with its weight and options."""

    name: str
    losses: dict[str, dict[str, Any]]


class ObjectiveConfig(Section):
    """The task loss, and where scores are taken."""

    class_weights: Literal["none", "dataset"] | list[float]
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
    student: SegmenterConfig
    teacher: SegmenterConfig
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

    @field_validator("optimizer")
    @classmethod
    def _optimizer_is_allowed(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_target(value, "torch.optim.Optimizer", skip_first=True)
        return value

    @field_validator("callbacks")
    @classmethod
    def _callbacks_are_allowed(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for node in value.values():
            check_target(node, "lightning.pytorch.callbacks.Callback")
        return value

    @field_validator("trainer")
    @classmethod
    def _trainer_keys_exist(cls, value: dict[str, Any]) -> dict[str, Any]:
        problems = []
        for key in value:
            if key in OWNED_BY_RUN:
                problems.append(f"'{key}' is set by the run itself; the key for it is {OWNED_BY_RUN[key]}")
            elif key not in TRAINER_KEYS:
                problems.append(
                    f"Lightning's Trainer has no '{key}'; {did_you_mean(key, TRAINER_KEYS - OWNED_BY_RUN.keys())}"
                )
        if problems:
            raise ValueError("; ".join(problems))
        return value


def parse_config(values: Mapping[str, Any]) -> TrainConfig:
    """Check a composed config.

    Args:
        values: plain containers, as ``OmegaConf.to_container(config, resolve=True)`` gives them.

    Raises:
        ConfigError: listing every key that is unknown, missing or has a value that does not fit.
    """
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(list_problems(error)) from None


def list_problems(error: ValidationError) -> str:
    """Say every problem in one line that starts with the key's path."""
    lines = [_problem(dict(problem)) for problem in error.errors()]
    head = "the config has a mistake" if len(lines) == 1 else f"the config has {len(lines)} mistakes"
    return "\n".join([f"{head}:", *(f"  {line}" for line in lines)])


def _problem(problem: Mapping[str, Any]) -> str:
    place = [p for p in problem["loc"] if p not in ("poly", "paper", "int", "float", "tuple[int, int]", "list[float]")]
    path = ".".join(str(part) for part in place)
    if problem["type"] == "extra_forbidden":
        return f"{path}: there is no such key; {did_you_mean(str(place[-1]), _known_keys(place[:-1]))}"
    if problem["type"] == "missing":
        return f"{path}: is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    shown = "" if isinstance(problem["input"], dict) else f" (it is {problem['input']!r})"
    return f"{path}: {message[0].lower()}{message[1:]}{shown}"


def _known_keys(place: Sequence[str | int]) -> list[str]:
    model: Any = TrainConfig
    for part in place:
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        kinds = (
            []
            if field is None
            else [a for a in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(a, type)]
        )
        model = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if model is None:
            return []
    return list(model.model_fields)
