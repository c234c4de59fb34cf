"""From a config to the data and the module of a run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Optimizer

from transkd.data import SceneDataModule
from transkd.training.checks import make
from transkd.training.config import TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.schedules import LinearEpochDecay, PolyWarmUp, Schedule
from transkd.training.segmentation_module import SegmentationModule
from transkd.training.segmenters import build_student, build_teacher, starts_from_teacher


def build_data(config: TrainConfig) -> SceneDataModule:
    """Return the run's data."""
    data = config.data
    return SceneDataModule(
        data.name,
        data.root,
        size=data.size,
        augment=config.augment.recipe,
        augment_options=config.augment.options,
        batch_size=data.batch_size,
        val_batch_size=data.val_batch_size,
        workers=data.workers,
        seed=config.seed,
        train_split=data.train_split,
        val_split=data.val_split,
        label_size=data.label_size,
        dataset_options=data.options,
    )


def image_size(data: SceneDataModule) -> tuple[int, int]:
    """Return height and width of the images that training sees."""
    image = data.train_dataset[0]["image"]
    return int(image.shape[-2]), int(image.shape[-1])


def build_module(config: TrainConfig, data: SceneDataModule) -> SegmentationModule:
    """Return the module that the run trains: a distillation, or one segmenter where there is no loss for it.

    Raises:
        WeightsError: weights that are missing, damaged or of another architecture.
        ConfigError: losses or options that do not exist, or that do not fit student and teacher.
    """
    distils = bool(config.distillation.losses)
    teacher = None
    if distils or starts_from_teacher(config.student):
        teacher = build_teacher(config.teacher, data.classes, data.name)
    student, student_weights = build_student(config.student, data.classes, teacher)
    options: dict[str, Any] = {
        "class_names": data.classes.names,
        "class_weights": _class_weights(config, data),
        "loss_resolution": config.objective.loss_resolution,
        "score_resolution": config.objective.score_resolution,
        "optimizer": partial(_optimizer, dict(config.optimizer)),
        "schedule": build_schedule(config),
        "channels_last": config.channels_last,
        "compile": config.compile,
    }
    if teacher is None or not distils:
        module = SegmentationModule(student, **options)
        module.weights_from = {"model": student_weights}
        return module
    distillation = DistillModule(student, teacher.segmenter, config.distillation.losses, **options)
    distillation.weights_from = {"student": student_weights, "teacher": teacher.text}
    return distillation


def build_schedule(config: TrainConfig) -> Schedule:
    """Return the learning-rate schedule."""
    schedule = config.schedule
    if schedule.name == "paper":
        return LinearEpochDecay(schedule.epochs)
    return PolyWarmUp(schedule.power, schedule.warm_up, schedule.start)


def _optimizer(node: dict[str, Any], parameters: Iterable[nn.Parameter]) -> Optimizer:
    optimizer: Optimizer = make(node, "torch.optim.Optimizer", parameters)
    return optimizer


def _class_weights(config: TrainConfig, data: SceneDataModule) -> list[float] | None:
    """Return one weight a class; that there are as many as classes is checked with the config."""
    requested = config.objective.class_weights
    if requested == "dataset":
        return list(data.classes.weights or ())
    return None if requested == "none" else list(requested)
