"""Segmenters as Python code gives them: an object, the name of a backbone, or where a saved one lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn

from transkd.errors import ConfigError
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.backbones import find_backbone

RANDOM_TEACHER = (
    "the teacher '{name}' has RANDOM weights: it teaches nothing, and the scores of this run mean nothing. "
    "Fit for a smoke run only."
)


def given_segmenter(
    caller: str,
    given: Segmenter | str | Path,
    *,
    num_classes: int | None,
    class_names: Sequence[str] | None = None,
    palette: Sequence[Sequence[int]] | None = None,
) -> Segmenter:
    """Return what trains.

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
    """Return what teaches; a path that exists is taken before a name.

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
    """Return whether this says where a saved segmenter lies, and is no name of a backbone."""
    return isinstance(given, Path) or (not _names_backbone(given) and ("/" in given or Path(given).exists()))


def _names_backbone(given: str | Path) -> bool:
    if isinstance(given, Path) or "/" in given:
        return False
    try:
        find_backbone(given)
    except ConfigError:
        return False
    return True
