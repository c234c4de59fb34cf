"""A small segmenter that starts from a larger one of its family: weight selection (Xu et al., arXiv 2311.18823)."""

from __future__ import annotations

from collections.abc import Mapping

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
        larger: whose weights are read.
        smaller: whose weights are replaced.
        same_classes: whether the outputs of both stand for the same classes; else the classifier stays as it is.

    Returns:
        The names of the smaller segmenter's tensors that were left as they were: those of a head of another kind or
        of more channels, and of a classifier of other classes.

    Raises:
        WeightsError: the backbone has layers that the larger one lacks, or larger ones.
    """
    have, wanted = larger.state_dict(), smaller.state_dict()
    wrong = [name for name in wanted if name.startswith(BACKBONE) and not _holds(have, name, wanted[name])]
    if wrong:
        raise WeightsError(
            f"{smaller.config['backbone']} is not part of {larger.config['backbone']}: "
            f"{_misfit(have, wrong[0], wanted[wrong[0]])}{f', and {len(wrong) - 1} more' if len(wrong) > 1 else ''}; "
            "weights can be selected from a larger network of the same family, as mit_b0's from mit_b2's"
        )
    left = {name for name in wanted if name.startswith(CLASSIFIER) and not same_classes}
    others = [name for name in wanted if name.startswith(HEAD) and name not in left]
    if larger.config["head"] != smaller.config["head"] or not all(_holds(have, name, wanted[name]) for name in others):
        left.update(others)
    selected = {name: _evenly(have[name], tensor) for name, tensor in wanted.items() if name not in left}
    smaller.load_state_dict(selected, strict=False)
    return tuple(name for name in wanted if name in left)


def _holds(have: Mapping[str, Tensor], name: str, wanted: Tensor) -> bool:
    source = have.get(name)
    if source is None or source.dim() != wanted.dim():
        return False
    return source.shape[SPATIAL:] == wanted.shape[SPATIAL:] and all(
        length >= part for length, part in zip(source.shape, wanted.shape, strict=True)
    )


def _misfit(have: Mapping[str, Tensor], name: str, wanted: Tensor) -> str:
    layer = name.removeprefix(BACKBONE)
    if name not in have:
        return f"{layer} is not there"
    return f"{layer} is {tuple(have[name].shape)}, of which {tuple(wanted.shape)} cannot be taken"


def _evenly(source: Tensor, wanted: Tensor) -> Tensor:
    """Return evenly spaced elements along each dimension; a part of a fused projection stays that part."""
    for dimension, (length, part) in enumerate(zip(source.shape, wanted.shape, strict=True)):
        if length != part:
            places = torch.arange(part, device=source.device) * length // part
            source = source.index_select(dimension, places)
    return source.to(wanted)
