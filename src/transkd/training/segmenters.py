"""Student and teacher, from what a config or Python code names to networks with weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_warn

from transkd.data.classes import ClassSet
from transkd.errors import ConfigError, WeightsError
from transkd.evaluation import match_classes
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.create import load_pretrained
from transkd.models.selection import CLASSIFIER, select_weights
from transkd.models.weights import state_shapes, tensor_differences
from transkd.runs.command import teacher_command
from transkd.training.config import SegmenterConfig, StudentConfig, TeacherConfig

RANDOM, SCRATCH, PRETRAINED, TEACHER = "random", "scratch", "pretrained", "teacher"
FROM_FILE = ("backbone", "head", "head_width")
RANDOM_TEACHER = (
    "the teacher '{name}' has RANDOM weights: it teaches nothing, and the scores of this run mean nothing. "
    "Fit for a smoke run only."
)


class Origin(NamedTuple):
    """A segmenter, and a line that says where its weights come from."""

    segmenter: Segmenter
    text: str


def weights_choice(config: SegmenterConfig) -> str | None:
    """Return ``"random"``, ``"pretrained"``, a student's ``"teacher"``, a source, or None where nothing was chosen."""
    weights = config.weights
    if config.pretrained is not False:
        return PRETRAINED
    return RANDOM if weights == SCRATCH else weights


def starts_from_teacher(config: StudentConfig) -> bool:
    """Return whether the student's first weights are selected from the teacher's."""
    return weights_choice(config) == TEACHER


def build_student(config: StudentConfig, classes: ClassSet, teacher: Origin | None = None) -> Origin:
    """Return the student for a dataset's classes; saved weights keep their normalisation.

    Args:
        config: what the student is.
        classes: the dataset's.
        teacher: whose weights ``student.weights=teacher`` selects from; not used otherwise.

    Raises:
        WeightsError: weights that are missing, of another architecture, or of other classes.
    """
    regularisation = {"drop_path_rate": config.drop_path_rate, "dropout": config.dropout}
    source = weights_choice(config)
    if source is None or source in (RANDOM, PRETRAINED):
        return _new_segmenter(config, classes, regularisation)
    if source == TEACHER:
        assert teacher is not None
        return _selected_from(teacher, config, classes)
    saved = load_segmenter(source)
    _check_architecture("student", config, source, saved)
    text = _check_same_classes(source, saved, classes)
    student = Segmenter(**saved.config | {k: v for k, v in regularisation.items() if v is not None} | _named(classes))
    student.load_state_dict(saved.state_dict())
    return Origin(student, text)


def build_teacher(config: TeacherConfig, classes: ClassSet, dataset: str) -> Origin:
    """Return the teacher, with its own architecture, classes and normalisation.

    Raises:
        WeightsError: where no weights are named, or they are of another architecture than the config names.
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
            raise WeightsError(f"teacher.weights={source} needs a backbone: choose teacher=mit_b2 or another")
        return _new_segmenter(config, classes, {})
    saved = load_segmenter(source)
    _check_architecture("teacher", config, source, saved)
    return Origin(saved, source)


def _new_segmenter(config: Any, classes: ClassSet, regularisation: dict[str, Any]) -> Origin:
    options = {"head": config.head, "head_width": config.head_width, **regularisation, **_named(classes)}
    segmenter = create_segmenter(config.backbone, classes.num_classes, **options)
    if weights_choice(config) != PRETRAINED:
        return Origin(segmenter, "random weights")
    file = config.pretrained if isinstance(config.pretrained, str) else None
    return Origin(segmenter, f"backbone from {load_pretrained(segmenter, file)}, head random")


def _selected_from(teacher: Origin, config: StudentConfig, classes: ClassSet) -> Origin:
    """Return a student of evenly spaced channels of the teacher, with the teacher's normalisation.

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


def _named(classes: ClassSet) -> dict[str, Any]:
    return {"class_names": classes.names, "palette": classes.palette}


def _check_same_classes(source: str, saved: Segmenter, classes: ClassSet) -> str:
    """Refuse other classes: each output would continue as another class. Returns where the weights are from.

    Raises:
        WeightsError: where the number of classes or the names at the same position differ.
    """
    if saved.num_classes != classes.num_classes:
        raise WeightsError(
            f"student.weights={source} has {saved.num_classes} classes, but the dataset has {classes.num_classes}: "
            "use weights of the same classes, or student.weights=pretrained"
        )
    if saved.class_names is None:
        return f"{source} (its classes have no names: taken in the dataset's order)"
    match = match_classes(saved.class_names, saved.num_classes, classes.names, classes.num_classes)
    if match is not None and match.complete:
        return source
    same = set() if match is None else {a for a, b in zip(match.ours, match.theirs, strict=True) if a == b}
    number = next(number for number in range(saved.num_classes) if number not in same)
    raise WeightsError(
        f"student.weights={source} has as many classes as the dataset, {classes.num_classes}, but others or in another "
        f"order: output {number} is '{saved.class_names[number]}', the dataset's class {number} "
        f"'{classes.names[number]}'. Use weights of the same classes, or student.weights=pretrained"
    )


def _check_architecture(role: str, config: Any, source: str, saved: Segmenter) -> None:
    """Refuse saved weights of another architecture than the config names."""
    requested = {key: getattr(config, key) for key in FROM_FILE}
    wrong = {key: value for key, value in requested.items() if value not in (None, saved.config[key])}
    if not wrong:
        return
    head = {key: requested[key] for key in ("head", "head_width")}
    with torch.device("meta"):
        expected = create_segmenter(requested["backbone"] or saved.config["backbone"], saved.num_classes, **head)
    differences = tensor_differences(state_shapes(expected), state_shapes(saved))
    found = " and ".join(f"{key} {saved.config[key]}, not {value}" for key, value in wrong.items())
    remedies = [f"{role}={saved.config[key]}" if key == "backbone" else f"{role}.{key}=null" for key in wrong]
    auto = ", or teacher=auto to take whatever the weights are" if role == "teacher" else ""
    raise WeightsError(
        f"{role}.weights={source} is a segmenter with {found}: {differences or 'its layers differ'}; "
        f"give other weights, or say what these are: {' '.join(remedies)}{auto}"
    )


def given_segmenter(
    caller: str,
    given: Segmenter | str | Path,
    *,
    num_classes: int | None,
    class_names: Sequence[str] | None = None,
    palette: Sequence[Sequence[int]] | None = None,
) -> Segmenter:
    """Return the segmenter that Python code gives a module to train.

    Args:
        caller: class whose argument it is.
        given: a segmenter, the name of a backbone for one with random weights, or a source for ``load_segmenter``.
        num_classes: of a segmenter given by name; what a saved one has to have, None takes any.
        class_names: of a segmenter given by name.
        palette: of a segmenter given by name.

    Raises:
        ConfigError: a name without ``num_classes``.
        WeightsError: there are no such weights, or of another number of classes.
    """
    if isinstance(given, Segmenter):
        return given
    if is_source(given):
        return load_segmenter(given, num_classes=num_classes)
    if num_classes is None:
        raise ConfigError(f"{caller}: a segmenter given by name ('{given}') also needs num_classes=…")
    return create_segmenter(str(given), num_classes, class_names=class_names, palette=palette)


def given_teacher(given: Segmenter | str | Path, num_classes: int | None) -> Segmenter:
    """Return the teacher that Python code gives; a path that exists comes before a name.

    Args:
        given: a segmenter, a source as ``load_segmenter`` takes, or the name of a backbone, which gives random weights
            and a warning.
        num_classes: of a teacher given by name; 19 by default.

    Raises:
        WeightsError: there are no such weights.
    """
    if isinstance(given, Segmenter):
        return given
    if _names_backbone(given) and not Path(given).exists():
        rank_zero_warn(RANDOM_TEACHER.format(name=given))
        return create_segmenter(str(given), num_classes or 19)
    return load_segmenter(given)


def is_source(given: str | Path) -> bool:
    """Return whether this says where a saved segmenter is, and is not the name of a backbone."""
    return isinstance(given, Path) or (not _names_backbone(given) and ("/" in given or Path(given).exists()))


def _names_backbone(given: str | Path) -> bool:
    if isinstance(given, Path) or "/" in given:
        return False
    try:
        find_backbone(given)
    except ConfigError:
        return False
    return True
