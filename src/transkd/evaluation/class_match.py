"""Which outputs of a model stand for which classes of a dataset or of another model; models of class ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transkd.errors import ConfigError
from transkd.evaluation.inference import Inference, LogitsOf
from transkd.evaluation.protocol import Resolution

REMEDY = "export it again with result=logits, or score the segmenter that was exported"


@dataclass(frozen=True)
class ClassMatch:
    """The classes that two lists of outputs share.

    Attributes:
        ours: the shared classes' indices among our outputs, ascending.
        theirs: the indices of the same classes among theirs.
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
        neither is known, or no name is shared.
    """
    if ours is None or theirs is None:
        everything = tuple(range(our_count))
        return ClassMatch(everything, everything, True) if our_count == their_count else None
    index_of = {plain_name(name): index for index, name in enumerate(theirs)}
    shared = [(own, index_of[plain_name(name)]) for own, name in enumerate(ours) if plain_name(name) in index_of]
    if not shared:
        return None
    own_indices, their_indices = zip(*shared, strict=True)
    complete = own_indices == their_indices == tuple(range(max(our_count, their_count)))
    return ClassMatch(own_indices, their_indices, complete)


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
        ConfigError: the segmenter has no output for a class, or it is not known which.
    """
    count = len(class_names)
    if model_names is None:
        if model_count not in (count, count + 1):
            raise ConfigError(
                f"{model} has {model_count} outputs without names, but the dataset has {count} classes: score it on "
                "the dataset it was trained for, or save it with class_names"
            )
        return tuple(range(count))
    index_of = {plain_name(name): index for index, name in enumerate(model_names)}
    missing = [name for name in class_names if plain_name(name) not in index_of]
    if missing:
        raise ConfigError(
            f"{model} has other classes than the dataset: it has no {listed(missing)}; its classes are "
            f"{listed(model_names)}. Score it on the dataset it was trained for"
        )
    return tuple(index_of[plain_name(name)] for name in class_names)


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


def logits_of_ids(
    predict: Callable[[Tensor], Tensor],
    num_classes: int,
    outputs: Sequence[int],
    *,
    model: str,
    inference: Inference,
    resolution: Resolution,
) -> LogitsOf:
    """Let a model of class ids be scored as one of logits: 1 for the class of a pixel, 0 for all others.

    Ids cannot be averaged or resized as logits are, and a class that is not the dataset's cannot give way to the
    next likely one; so this is for one view of the whole image, with scores at the image's own pixels.

    Args:
        predict: from images (B, 3, H, W) to class ids (B, H, W).
        num_classes: how many classes the ids are of.
        outputs: the ids that stand for the dataset's classes.
        model: what to call it in errors.
        inference: how it is applied.
        resolution: where predictions meet labels.

    Returns:
        From images (B, 3, H, W) to (B, num_classes, H, W) float32.

    Raises:
        ConfigError: this protocol or dataset needs logits.
    """
    reason = None
    if not inference.is_plain:
        reason = "windows, scales and flip average logits"
    elif resolution != "label":
        reason = "this protocol scores logits at a quarter of the image's size"
    elif len(set(outputs)) != num_classes:
        reason = f"{num_classes - len(set(outputs))} of its classes are not the dataset's"
    if reason is not None:
        raise ConfigError(f"{model} gives class ids, not logits, and {reason}: {REMEDY}")

    def logits(images: Tensor) -> Tensor:
        ids = predict(images)[:, None]
        return torch.zeros(len(ids), num_classes, *ids.shape[2:]).scatter_(1, ids, 1.0)

    return logits


def refuse_resizing(images: Tensor, labels: Tensor) -> None:
    """Raise a ConfigError where class ids of ``images`` would have to be resized to meet ``labels``."""
    if images.shape[-2:] != labels.shape[-2:]:
        size, needed = ("x".join(map(str, maps.shape[-2:])) for maps in (images, labels))
        raise ConfigError(
            f"the model gives class ids of {size}, which cannot be resized as logits are to labels of {needed}: "
            f"{REMEDY}, or set data.size={'[' + needed.replace('x', ',') + ']'}"
        )
