"""Students that start from a selection of a larger network's weights, against numpy's indexing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transkd.errors import WeightsError
from transkd.models import Segmenter, create_segmenter
from transkd.models.selection import select_weights


@pytest.fixture(scope="module")
def larger() -> Segmenter:
    torch.manual_seed(1)
    return distinct(create_segmenter("mit_b1", 3))


def distinct(segmenter: Segmenter) -> Segmenter:
    """Make every element of the network one of its own, so that a wrong one is seen."""
    state = {name: torch.rand_like(t) if t.is_floating_point() else t for name, t in segmenter.state_dict().items()}
    segmenter.load_state_dict(state)
    return segmenter


def test_every_tensor_is_what_numpy_takes_at_even_spaces(larger: Segmenter) -> None:
    smaller = create_segmenter("mit_b0", 3)
    assert select_weights(larger, smaller, same_classes=True) == ()
    have = {name: tensor.numpy() for name, tensor in larger.state_dict().items()}
    halved = 0
    for name, tensor in smaller.state_dict().items():
        source = have[name]
        steps = tuple(slice(None, None, a // b) for a, b in zip(source.shape, tensor.shape, strict=True))
        np.testing.assert_array_equal(tensor.numpy(), source[steps], err_msg=name)
        halved += source.shape != tuple(tensor.shape)
    assert halved > 100


def test_keys_and_values_of_a_fused_projection_stay_what_they_are() -> None:
    smaller, larger = (create_segmenter(name, 3) for name in ("pvt_v2_b0", "pvt_v2_b2"))
    attention = larger.backbone.stages[1].blocks[0].attn
    dim = attention.kv.out_features // 2
    with torch.no_grad():
        attention.kv.weight[:dim] = 1.0  # keys
        attention.kv.weight[dim:] = -1.0  # values
    select_weights(larger, smaller, same_classes=True)
    kv = smaller.backbone.stages[1].blocks[0].attn.kv.weight
    assert (kv[: dim // 2] == 1).all()
    assert (kv[dim // 2 :] == -1).all()
    for stage, theirs in zip(smaller.backbone.stages, larger.backbone.stages, strict=True):
        assert len(stage.blocks) < len(theirs.blocks)  # of which the first are taken
        for block, first in zip(stage.blocks, theirs.blocks, strict=False):
            assert torch.equal(block.attn.proj.weight.flatten()[:1], first.attn.proj.weight.flatten()[:1])


@pytest.mark.parametrize(
    ("head", "width", "classes", "same", "left"),
    [
        ("segformer", None, 5, False, {"classifier"}),
        ("segformer", 512, 3, True, {"linear", "fuse", "norm", "classifier"}),
        ("semantic_fpn", None, 3, True, None),
    ],
)
def test_what_does_not_fit_of_the_head_stays_as_it_was(
    larger: Segmenter, head: str, width: int | None, classes: int, same: bool, left: set[str] | None
) -> None:
    smaller = create_segmenter("mit_b0", classes, head=head, head_width=width)
    before = {name: tensor.clone() for name, tensor in smaller.state_dict().items()}
    names = select_weights(larger, smaller, same_classes=same)
    assert all(torch.equal(smaller.state_dict()[name], before[name]) for name in names)
    of_head = [name for name in before if name.startswith("head.")]
    assert list(names) == [name for name in of_head if left is None or name.split(".")[1] in left]


@pytest.mark.parametrize(
    ("small", "large", "reason"),
    [
        ("mit_b2", "mit_b0", r"mit_b2 is not part of mit_b0: .*of which .* cannot be taken, and \d+ more"),
        ("convnext_atto", "mit_b0", r"convnext_atto is not part of mit_b0: .* is not there, and \d+ more; .*family"),
        ("mit_b2", "mit_b1", r"mit_b2 is not part of mit_b1: stages\.0\.blocks\.2\..* is not there"),
    ],
)
def test_a_network_that_is_no_part_is_refused(small: str, large: str, reason: str) -> None:
    with torch.device("meta"):
        smaller, larger = create_segmenter(small, 3), create_segmenter(large, 3)
    with pytest.raises(WeightsError, match=reason):
        select_weights(larger, smaller, same_classes=True)
