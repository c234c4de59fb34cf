"""Which outputs of a segmenter stand for which classes of a dataset, or of another segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transkd.errors import ConfigError


@dataclass(frozen=True)
class ClassMatch:
    """The classes that two lists of outputs share.

    Attributes:
        ours: the shared classes' places among our outputs, ascending.
        theirs: the places of the same classes among theirs.
        complete: whether each of the two has all the other's classes, in the same order.
    """

    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    complete: bool


def match_classes(
    ours: Sequence[str] | None, our_count: int, theirs: Sequence[str] | None, their_count: int
) -> ClassMatch | None:
    """Match two lists of classes by name, whatever their case, spaces, hyphens or underscores.

    Args:
        ours: names of our classes, None where they are unknown.
        our_count: how many outputs we have.
        theirs: names of their classes, None where they are unknown.
        their_count: how many outputs they have.

    Returns:
        The match: by name where both have names; in order where one has none and the counts agree. None where
        neither can be said, or no name is shared.
    """
    if ours is None or theirs is None:
        everything = tuple(range(our_count))
        return ClassMatch(everything, everything, True) if our_count == their_count else None
    places = {plain_name(name): place for place, name in enumerate(theirs)}
    shared = [(own, places[plain_name(name)]) for own, name in enumerate(ours) if plain_name(name) in places]
    if not shared:
        return None
    own_places, their_places = zip(*shared, strict=True)
    return ClassMatch(own_places, their_places, own_places == their_places == tuple(range(max(our_count, their_count))))


def outputs_for_classes(
    class_names: Sequence[str], model_names: Sequence[str] | None, model_count: int, model: str
) -> tuple[int, ...]:
    """Return, for each class of a dataset, the output of a segmenter that stands for it.

    Segmenters with further outputs will do, those without names if they have as many outputs as there are
    classes, or one more: TransKD's released ones end with an output for "ignore", which is never right.

    Args:
        class_names: the dataset's K classes.
        model_names: the segmenter's classes, None where they are unknown.
        model_count: how many outputs it has.
        model: what to call the segmenter in errors.

    Returns:
        K indices of outputs.

    Raises:
        ConfigError: the segmenter has no output for a class, or its outputs cannot be told.
    """
    count = len(class_names)
    if model_names is None:
        if model_count not in (count, count + 1):
            raise ConfigError(
                f"{model} has {model_count} outputs without names, but the dataset has {count} classes: score it on "
                "the dataset it was trained for, or save it with class_names"
            )
        return tuple(range(count))
    places = {plain_name(name): place for place, name in enumerate(model_names)}
    missing = [name for name in class_names if plain_name(name) not in places]
    if missing:
        raise ConfigError(
            f"{model} has other classes than the dataset: it has no {listed(missing)}; its classes are "
            f"{listed(model_names)}. Score it on the dataset it was trained for"
        )
    return tuple(places[plain_name(name)] for name in class_names)


def select_outputs(logits: Tensor, outputs: Sequence[int]) -> Tensor:
    """Return the logits (B, len(outputs), h, w) of some outputs of (B, K, h, w), in their order."""
    if tuple(outputs) == tuple(range(logits.shape[1])):
        return logits
    return logits.index_select(1, torch.tensor(outputs, device=logits.device))


def plain_name(name: str) -> str:
    """Return a class name without what people write differently: case, spaces, hyphens and underscores."""
    return "".join(sign for sign in name.casefold() if sign not in " -_")


def listed(names: Sequence[str]) -> str:
    """Return the first names of a list for a message."""
    quoted = [f"'{name}'" for name in names[:6]]
    return ", ".join(quoted) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
