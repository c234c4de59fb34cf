"""From a checked config to the data and the module of a run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from transkd.data import SceneDataModule
from transkd.data.classes import ClassSet
from transkd.errors import WeightsError
from transkd.evaluation import match_classes
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.create import load_pretrained
from transkd.models.selection import CLASSIFIER, select_weights
from transkd.models.weights import state_shapes, tensor_differences
from transkd.training.checks import make
from transkd.training.config import SegmenterConfig, StudentConfig, TeacherConfig, TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.next_steps import teacher_command
from transkd.training.schedules import LinearEpochDecay, PolyWarmUp, Schedule
from transkd.training.segmentation_module import SegmentationModule

RANDOM, SCRATCH, PRETRAINED, TEACHER = "random", "scratch", "pretrained", "teacher"
FROM_FILE = ("backbone", "head", "head_width")


class Origin(NamedTuple):
    """A segmenter, and a line that says where its weights come from."""

    segmenter: Segmenter
    text: str


def weights_choice(config: SegmenterConfig) -> str | None:
    """Return ``"random"``, ``"pretrained"``, a student's ``"teacher"``, a source, or None where nothing was chosen."""
    if config.pretrained is not False:
        return PRETRAINED
    return RANDOM if config.weights == SCRATCH else config.weights


def starts_from_teacher(config: StudentConfig) -> bool:
    """Return whether the student's first weights are selected from the teacher's."""
    return weights_choice(config) == TEACHER


def build_student(config: StudentConfig, classes: ClassSet, teacher: Origin | None = None) -> Origin:
    """Return the student for a dataset's classes; saved weights keep their normalisation.

    Args:
        config: what the student is.
        classes: the dataset's.
        teacher: whose weights ``student.weights=teacher`` selects from; otherwise not looked at.

    Raises:
        WeightsError: weights that are missing, of another architecture, or of other classes.
    """
    regularisation = {"drop_path_rate": config.drop_path_rate, "dropout": config.dropout}
    source = weights_choice(config)
    if source in (RANDOM, PRETRAINED, None):
        return _new(config, classes, source == PRETRAINED, regularisation)
    assert source is not None
    if source == TEACHER:
        assert teacher is not None
        return _part_of(teacher, config, classes)
    saved = load_segmenter(source)
    _check_fits("student", config, source, saved)
    if saved.num_classes != classes.num_classes:
        raise WeightsError(
            f"student.weights={source} has {saved.num_classes} classes, but the dataset has {classes.num_classes}: "
            "use weights of the same classes, or student.weights=pretrained"
        )
    text = _check_classes(source, saved, classes)
    student = Segmenter(**saved.config | {k: v for k, v in regularisation.items() if v is not None} | _named(classes))
    student.load_state_dict(saved.state_dict())
    return Origin(student, text)


def _part_of(teacher: Origin, config: StudentConfig, classes: ClassSet) -> Origin:
    """Return a student of evenly spaced channels of the teacher, which sees images as the teacher does.

    Raises:
        WeightsError: the student is not of the teacher's family, or larger.
    """
    whole = teacher.segmenter
    options: dict[str, Any] = {key: whole.config[key] for key in ("mean", "std", "norm_eps")} | _named(classes)
    options |= {key: getattr(config, key) for key in ("head", "head_width", "drop_path_rate", "dropout")}
    student = create_segmenter(config.backbone, classes.num_classes, **options)
    match = match_classes(whole.class_names, whole.num_classes, classes.names, classes.num_classes)
    try:
        left = select_weights(whole, student, same_classes=match is not None and match.complete)
    except WeightsError as error:
        raise WeightsError(f"student.weights=teacher: {error}, or choose student.weights=scratch") from error
    part = "classifier" if all(name.startswith(CLASSIFIER) for name in left) else "head"
    return Origin(student, f"selected from the teacher's ({teacher.text}){f', {part} random' if left else ''}")


def _check_classes(source: str, saved: Segmenter, classes: ClassSet) -> str:
    """Refuse as many but other classes: each output would go on as another class. Returns where the weights are from.

    Raises:
        WeightsError: where names of the same place differ.
    """
    if saved.class_names is None:
        return f"{source} (its classes have no names: taken in the dataset's order)"
    match = match_classes(saved.class_names, saved.num_classes, classes.names, classes.num_classes)
    if match is not None and match.complete:
        return str(source)
    same = set() if match is None else {a for a, b in zip(match.ours, match.theirs, strict=True) if a == b}
    place = next(place for place in range(saved.num_classes) if place not in same)
    raise WeightsError(
        f"student.weights={source} has as many classes as the dataset, {classes.num_classes}, but others or in another "
        f"order: output {place} is '{saved.class_names[place]}', the dataset's class {place} '{classes.names[place]}'. "
        "Use weights of the same classes, or student.weights=pretrained"
    )


def build_teacher(config: TeacherConfig, classes: ClassSet, dataset: str) -> Origin:
    """Return the teacher, with its own architecture, classes and normalisation.

    Raises:
        WeightsError: where no weights are named, or they do not fit what else is said of the teacher.
    """
    source = weights_choice(config)
    if source is None:
        raise WeightsError(
            "teacher.weights is not set: a teacher has to have learned something. Train one by "
            f"`{teacher_command(dataset)}` and name what it saved, teacher.weights=RUN/model; "
            "name a published one, such as teacher=mit_b2 "
            "teacher.weights=nvidia/segformer-b2-finetuned-cityscapes-1024-1024; "
            "or, to only see the machinery run, teacher.weights=random"
        )
    if source in (RANDOM, PRETRAINED):
        if config.backbone is None:
            raise WeightsError(
                f"teacher.weights={source} needs to be told a backbone: choose teacher=mit_b2 or another"
            )
        return _new(config, classes, source == PRETRAINED, {})
    saved = load_segmenter(source)
    _check_fits("teacher", config, source, saved)
    return Origin(saved, source)


def _new(config: Any, classes: ClassSet, pretrained: bool, regularisation: dict[str, Any]) -> Origin:
    options = {"head": config.head, "head_width": config.head_width, **regularisation, **_named(classes)}
    segmenter = create_segmenter(config.backbone, classes.num_classes, **options)
    if not pretrained:
        return Origin(segmenter, "random weights")
    file = config.pretrained if isinstance(config.pretrained, str) else None
    return Origin(segmenter, f"backbone from {load_pretrained(segmenter, file)}, head random")


def _named(classes: ClassSet) -> dict[str, Any]:
    return {"class_names": classes.names, "palette": classes.palette}


def _check_fits(role: str, config: Any, source: str, saved: Segmenter) -> None:
    """Refuse saved weights of another architecture than the config asks for."""
    wished = {key: getattr(config, key) for key in FROM_FILE}
    wrong = {key: value for key, value in wished.items() if value not in (None, saved.config[key])}
    if not wrong:
        return
    with torch.device("meta"):
        expected = create_segmenter(wished["backbone"] or saved.config["backbone"], saved.num_classes, **_head(wished))
    differences = tensor_differences(state_shapes(expected), state_shapes(saved))
    found = " and ".join(f"{key} {saved.config[key]}, not {value}" for key, value in wrong.items())
    remedies = [f"{role}={saved.config[key]}" if key == "backbone" else f"{role}.{key}=null" for key in wrong]
    auto = ", or teacher=auto to take whatever the weights are" if role == "teacher" else ""
    raise WeightsError(
        f"{role}.weights={source} is a segmenter with {found}: {differences or 'its layers differ'}; "
        f"give other weights, or say what these are: {' '.join(remedies)}{auto}"
    )


def _head(wished: dict[str, Any]) -> dict[str, Any]:
    return {key: wished[key] for key in ("head", "head_width")}


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
    wished = config.objective.class_weights
    if wished == "dataset":
        return list(data.classes.weights or ())
    return None if wished == "none" else list(wished)
