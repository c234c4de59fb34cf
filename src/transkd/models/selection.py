"""A small segmenter that starts from a larger one of its family: weight selection (Xu et al., arXiv 2311.18823)."""

from __future__ import annotations

import torch
from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.segmenter import Segmenter

BACKBONE, HEAD, CLASSIFIER = "backbone.", "head.", "head.classifier."
SPATIAL = 2
"""From this dimension on, a tensor's size is that of a kernel, of which no part is taken."""


def select_weights(larger: Segmenter, smaller: Segmenter, *, same_classes: bool) -> tuple[str, ...]:
    """Copy a selection of the larger segmenter's weights into the smaller one.

    The first blocks of each stage, and of each of their tensors evenly spaced elements along every dimension that is
    longer (Xu et al. 2024, section 3: first-N layers, uniform elements; their finding that channels have to be chosen
    alike throughout holds here, for the choice depends on the lengths alone).

    Args:
        larger: its weights are read.
        smaller: its weights are replaced.
        same_classes: whether the outputs of both stand for the same classes; else the classifier stays as it is.

    Returns:
        The names of the smaller segmenter's tensors that were left as they were: those of a head of another kind or
        of more channels, and of a classifier of other classes.

    Raises:
        WeightsError: the backbone has layers that the larger one lacks, or larger ones.
    """
    have, needed = larger.state_dict(), smaller.state_dict()
    unfit = {name for name, tensor in needed.items() if name not in have or not _contains(have[name], tensor)}
    if wrong := [name for name in needed if name in unfit and name.startswith(BACKBONE)]:
        layer, first = wrong[0].removeprefix(BACKBONE), wrong[0]
        shapes = f"{tuple(have[first].shape)}, of which {tuple(needed[first].shape)}" if first in have else ""
        raise WeightsError(
            f"{smaller.config['backbone']} is not part of {larger.config['backbone']}: {layer} is "
            f"{f'{shapes} cannot be taken' if shapes else 'not there'}"
            f"{f', and {len(wrong) - 1} more' if len(wrong) > 1 else ''}; "
            "weights can be selected from a larger network of the same family, as mit_b0's from mit_b2's"
        )
    left = {name for name in needed if name.startswith(CLASSIFIER) and not same_classes}
    others = {name for name in needed if name.startswith(HEAD)} - left
    if larger.config["head"] != smaller.config["head"] or unfit & others:
        left |= others
    selected = {name: _evenly(have[name], tensor) for name, tensor in needed.items() if name not in left}
    smaller.load_state_dict(selected, strict=False)
    return tuple(name for name in needed if name in left)


def _contains(source: Tensor, part: Tensor) -> bool:
    return (
        source.dim() == part.dim()
        and source.shape[SPATIAL:] == part.shape[SPATIAL:]
        and all(length >= needed for length, needed in zip(source.shape, part.shape, strict=True))
    )


def _evenly(source: Tensor, part: Tensor) -> Tensor:
    """Return evenly spaced elements along each dimension; a part of a fused projection stays that part."""
    for dimension, (length, needed) in enumerate(zip(source.shape, part.shape, strict=True)):
        if length != needed:
            elements = torch.arange(needed, device=source.device) * length // needed
            source = source.index_select(dimension, elements)
    return source.to(part)
