"""Student and teacher, from what a config or Python code names to networks with weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_warn

from transkd.data.classes import ClassSet
from transkd.errors import ConfigError, WeightsError
from transkd.evaluation import match_classes
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.create import load_pretrained
from transkd.models.selection import CLASSIFIER, select_weights
from transkd.runs.command import teacher_command
from transkd.training.config import SegmenterConfig, StudentConfig, TeacherConfig

RANDOM, SCRATCH, PRETRAINED, TEACHER = "random", "scratch", "pretrained", "teacher"
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
    if config.pretrained is not False:
        return PRETRAINED
    return RANDOM if config.weights == SCRATCH else config.weights


def starts_from_teacher(config: StudentConfig) -> bool:
    """Return whether the student's first weights are selected from the teacher's."""
    return weights_choice(config) == TEACHER


def build_student(config: StudentConfig, classes: ClassSet, teacher: Origin | None = None) -> Origin:
    """Return the student for a dataset's classes; weights that are saved or the teacher's keep their normalisation.

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
    _check_same_classes(source, saved, classes)
    given = {key: value for key, value in regularisation.items() if value is not None}
    student = Segmenter(**saved.config | given | _named(classes))
    student.load_state_dict(saved.state_dict())
    nameless = " (its classes have no names: taken in the dataset's order)" if saved.class_names is None else ""
    return Origin(student, f"{source}{nameless}")


def build_teacher(config: TeacherConfig, classes: ClassSet, dataset: str) -> Origin:
    """Return the teacher, with its own architecture, classes and normalisation.

    Raises:
        WeightsError: no weights are named, or they are of another architecture than the config names.
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


def _new_segmenter(config: SegmenterConfig, classes: ClassSet, regularisation: dict[str, Any]) -> Origin:
    options = {"head": config.head, "head_width": config.head_width, **regularisation, **_named(classes)}
    segmenter = create_segmenter(str(config.backbone), classes.num_classes, **options)
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


def _check_same_classes(source: str, saved: Segmenter, classes: ClassSet) -> None:
    """Refuse other classes, or another order of them: each output would continue as another class."""
    if saved.num_classes != classes.num_classes:
        raise WeightsError(
            f"student.weights={source} has {saved.num_classes} classes, but the dataset has {classes.num_classes}: "
            "use weights of the same classes, or student.weights=pretrained"
        )
    for number, name in enumerate(saved.class_names or ()):
        if match_classes([name], 1, [classes.names[number]], 1) is None:
            raise WeightsError(
                f"student.weights={source} has as many classes as the dataset, {classes.num_classes}, but others or in "
                f"another order: output {number} is '{name}', the dataset's class {number} '{classes.names[number]}'. "
                "Use weights of the same classes, or student.weights=pretrained"
            )


def _check_architecture(role: str, config: SegmenterConfig, source: str, saved: Segmenter) -> None:
    """Refuse saved weights of another architecture than the config names."""
    named = {"backbone": config.backbone, "head": config.head, "head_width": config.head_width}
    wrong = {key: value for key, value in named.items() if value not in (None, saved.config[key])}
    if not wrong:
        return
    found = " and ".join(f"{key} {saved.config[key]}, not {value}" for key, value in wrong.items())
    remedies = [f"{role}={saved.config[key]}" if key == "backbone" else f"{role}.{key}=null" for key in wrong]
    auto = ", or teacher=auto to take whatever the weights are" if role == "teacher" else ""
    raise WeightsError(
        f"{role}.weights={source} is a segmenter with {found}: give other weights, or say what these are: "
        f"{' '.join(remedies)}{auto}"
    )


def given_segmenter(
    given: Segmenter | str | Path,
    num_classes: int | None,
    class_names: Sequence[str] | None = None,
    palette: Sequence[Sequence[int]] | None = None,
) -> Segmenter:
    """Return the segmenter that Python code gives a module to train.

    Args:
        given: a segmenter, the name of a backbone for one with random weights, or a source for ``load_segmenter``.
        num_classes: needed with a name; what a saved segmenter has to have, None takes any.
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
        raise ConfigError(f"a segmenter given by name ('{given}') also needs num_classes=…")
    return create_segmenter(str(given), num_classes, class_names=class_names, palette=palette)


def given_teacher(given: Segmenter | str | Path, num_classes: int | None) -> Segmenter:
    """Return the teacher that Python code gives; a path that exists comes before the name of a backbone.

    A name gives a teacher of ``num_classes``, 19 by default, with random weights and a warning.

    Raises:
        ConfigError: there is neither such a path nor such a backbone.
        WeightsError: there are no such weights.
    """
    if isinstance(given, Segmenter):
        return given
    if is_source(given) or Path(given).exists():
        return load_segmenter(given)
    teacher = create_segmenter(str(given), num_classes or 19)
    rank_zero_warn(RANDOM_TEACHER.format(name=given))
    return teacher


def is_source(given: str | Path) -> bool:
    """Return whether this says where a saved segmenter is, and is not the name of a backbone."""
    if isinstance(given, Path) or "/" in given:
        return True
    try:
        find_backbone(given)
    except ConfigError:
        return Path(given).exists()
    return False
