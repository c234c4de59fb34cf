"""From a checked config to the data and the module of a run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Optimizer

from transkd.data import SceneDataModule
from transkd.errors import ConfigError, WeightsError
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.training.config import SegmenterConfig, TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.instantiate import make
from transkd.training.schedules import LinearEpochDecay, PolyWarmUp, Schedule
from transkd.training.segmentation_module import SegmentationModule

RANDOM, SCRATCH = "random", "scratch"


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
        WeightsError: teacher weights that are missing or of another architecture or class count.
        ConfigError: losses or options that do not exist.
    """
    student = build_segmenter(config.student, data)
    options: dict[str, Any] = {
        "class_names": data.classes.names,
        "class_weights": _class_weights(config, data),
        "loss_resolution": config.objective.loss_resolution,
        "score_resolution": config.objective.score_resolution,
        "optimizer": partial(_optimizer, config.optimizer),
        "schedule": build_schedule(config),
        "channels_last": config.channels_last,
        "compile": config.compile,
    }
    if not config.distillation.losses:
        return SegmentationModule(student, **options)
    return DistillModule(student, build_teacher(config.teacher, data), config.distillation.losses, **options)


def build_segmenter(config: SegmenterConfig, data: SceneDataModule) -> Segmenter:
    """Return a segmenter for the dataset's classes, from scratch or from saved weights with their normalisation.

    Raises:
        WeightsError: saved weights that are missing or of another architecture.
    """
    classes = data.classes
    options: dict[str, Any] = {
        "backbone": config.backbone,
        "num_classes": classes.num_classes,
        "head": config.head,
        "head_width": config.head_width,
        "class_names": classes.names,
        "drop_path_rate": config.drop_path_rate,
        "dropout": config.dropout,
    }
    if config.weights is None or config.weights in (SCRATCH, RANDOM):
        return create_segmenter(**options)
    saved = load_segmenter(config.weights, backbone=config.backbone, num_classes=classes.num_classes)
    for key in ("head", "head_width"):
        if options[key] not in (None, saved.config[key]):
            raise WeightsError(
                f"the weights {config.weights} are of a segmenter with {key}={saved.config[key]}, "
                f"but the config asks for {key}={options[key]}"
            )
    kept = {key: saved.config[key] for key in ("head", "head_width", "mean", "std")}
    segmenter = create_segmenter(**options | kept)
    segmenter.load_state_dict(saved.state_dict())
    return segmenter


def build_teacher(config: SegmenterConfig, data: SceneDataModule) -> Segmenter:
    """Return the teacher, with its own normalisation, from its saved weights.

    Raises:
        WeightsError: where no weights are named, or they do not fit.
    """
    if config.weights is None:
        raise WeightsError(
            "teacher.weights is not set: a teacher has to have learned something. Train one by "
            f"`transkd-train +experiment={data.name}_teacher` and name what it saved, teacher.weights=RUN/model, "
            "or, to only see the machinery run, teacher.weights=random"
        )
    if config.weights == RANDOM:
        return build_segmenter(config, data)
    return load_segmenter(config.weights, backbone=config.backbone, num_classes=data.classes.num_classes)


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
    wished = config.objective.class_weights
    if wished == "none":
        return None
    if wished == "dataset":
        if data.classes.weights is None:
            raise ConfigError(
                f"objective.class_weights=dataset: the dataset {data.name} has no published class weights; give a "
                "list of numbers, or none"
            )
        return list(data.classes.weights)
    if len(wished) != data.classes.num_classes:
        raise ConfigError(
            f"objective.class_weights has {len(wished)} numbers, but {data.name} has {data.classes.num_classes} classes"
        )
    return list(wished)
