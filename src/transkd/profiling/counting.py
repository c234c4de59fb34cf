"""Multiply-accumulates counted three ways at once: with attention, without it, and as the paper's table counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from transkd.evaluation.cost import without_computing
from transkd.models import Segmenter
from transkd.models.heads.segformer import SegFormerHead


def published_forward(network: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return a forward pass of ``network`` through the published form of its SegFormer head.

    Returns:
        From (B, 3, H, W) images to (B, K, H/4, W/4) logits; None for a network that has no such head.
    """
    if not isinstance(network, Segmenter) or not isinstance(network.head, SegFormerHead):
        return None
    head = network.head
    return lambda images: unfactorised(head, network.encode(images).features)


def unfactorised(head: SegFormerHead, features: Sequence[Tensor]) -> Tensor:
    """Return the head's logits as SegFormer computes them (Xie et al., 2021, section 3.2).

    Each feature map goes through its linear layer and is upsampled to the size of the first; a 1x1 convolution fuses
    their concatenation, deepest first.

    Args:
        head: the head.
        features: per stage (B, C_i, H_i, W_i), shallowest first.

    Returns:
        (B, K, H_1, W_1), in evaluation the same as ``head(features)`` up to rounding.
    """
    size = features[0].shape[2:]
    layers = cast("list[nn.Linear]", list(head.linear))
    widened = [
        F.interpolate(layer(feature.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), size, mode="bilinear")
        for layer, feature in zip(layers, features, strict=True)
    ]
    fused = head.norm(head.fuse(torch.cat(widened[::-1], dim=1)))
    return cast(Tensor, head.classifier(head.dropout(F.relu(fused))))


aten = torch.ops.aten

PRODUCTS = (aten.mm, aten.addmm, aten.bmm, aten.baddbmm)
CONVOLUTIONS = (aten.convolution, aten._convolution, aten.cudnn_convolution)
FUSED_ATTENTION = tuple(
    op for op in flop_registry if str(op).startswith("aten.") and "attention" in str(op) and "backward" not in str(op)
)
NORMS = (
    aten.native_layer_norm,
    aten.native_group_norm,
    aten.native_batch_norm,
    aten.cudnn_batch_norm,
    aten._native_batch_norm_legit_no_training,
    aten._batch_norm_no_update,
)
ACTIVATIONS = (aten.relu, aten.relu_, aten.hardtanh, aten.hardtanh_, aten._prelu_kernel, aten.elu, aten.leaky_relu)
POOLS = (aten.avg_pool2d, aten._adaptive_avg_pool2d, aten.max_pool2d_with_indices, aten.mean)
TAG = "_transkd_from_the_image"


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates, a multiplication and an addition counted as one.

    Attributes:
        with_attention: matrix products and convolutions, all of them.
        without_attention: the same but for attention's own products, queries by keys and weights by values. Counters
            that look at layers, as the paper's did, see none of them.
        as_published: without attention, with the SegFormer head unfactorised as it was published, and with what mmcv's
            counter adds: 2 an element of an affine norm, 1 of a ReLU, a convolution's bias and what a layer pools.
    """

    with_attention: int
    without_attention: int
    as_published: int

    def __add__(self, other: Macs) -> Macs:
        """Return the sum of each of the three counts."""
        return Macs(
            self.with_attention + other.with_attention,
            self.without_attention + other.without_attention,
            self.as_published + other.as_published,
        )


def count_work(call: Callable[[], Any], data: Iterable[Tensor]) -> Macs:
    """Count the multiply-accumulates of ``call``; no head is unfactorised for the published count.

    Args:
        call: what to count.
        data: the tensors that it computes from. A product of two tensors that both follow from them is attention's;
            a product with a parameter is a layer's, however it is written.
    """
    counter = _Counter()
    tagging = _Tagging()  # type: ignore[no-untyped-call]
    for tensor in data:
        setattr(tensor, TAG, True)
    with tagging, counter.mode:
        call()
    total = counter.mode.get_total_flops() // 2
    layers = total - counter.attention
    return Macs(total, layers, layers + counter.elements)


def count_network(network: nn.Module, size: tuple[int, int]) -> Macs:
    """Count the multiply-accumulates of one image's logits, without computing them.

    Args:
        network: from (1, 3, H, W) images in [0, 1] to logits; a segmenter's SegFormer head is also counted in the form
            that it was published in.
        size: height and width in pixels.
    """
    published = published_forward(network)
    built = _count_pass(network, network, size)
    if published is None:
        return built
    return Macs(built.with_attention, built.without_attention, _count_pass(published, network, size).as_published)


def _count_pass(forward: Callable[[Tensor], object], network: nn.Module, size: tuple[int, int]) -> Macs:
    device = next(iter(network.parameters()), torch.empty(0)).device
    with without_computing(network):
        image = torch.empty(1, 3, *size, device=device)
        return count_work(lambda: forward(image), [image])


class _Tagging(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Marks every tensor that is computed from a marked one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(_is_tagged(leaf) for leaf in tree_leaves((args, kwargs))):
            for leaf in tree_leaves(out):
                if isinstance(leaf, Tensor):
                    setattr(leaf, TAG, True)
        return out


class _Counter:
    """Sorts what torch's counter counts.

    Attributes:
        mode: torch's counter.
        attention: multiply-accumulates between two tensors that both follow from the image.
        elements: what mmcv's counter adds to the products of layers.
    """

    def __init__(self) -> None:
        self.attention = 0
        self.elements = 0
        formulas = {op: self._product(op) for op in (*PRODUCTS, *FUSED_ATTENTION)}
        formulas |= {op: self._convolution(op) for op in CONVOLUTIONS if op in flop_registry}
        formulas |= {op: self._elementwise(_norm_elements) for op in NORMS}
        formulas |= {op: self._elementwise(lambda _, out: out.numel()) for op in ACTIVATIONS}
        formulas |= dict.fromkeys(POOLS, self._pool)
        for formula in formulas.values():
            setattr(getattr(formula, "__func__", formula), "_get_raw", True)  # noqa: B010  to see tensors, not shapes
        self.mode = FlopCounterMode(display=False, custom_mapping=formulas)

    def _product(self, op: Any) -> Callable[..., int]:
        def count(*args: Any, out_val: Any = None, **options: Any) -> int:
            flops = int(flop_registry[op](*args, out_val=out_val, **options))
            if op in FUSED_ATTENTION or all(_is_tagged(factor) for factor in args[-2:]):
                self.attention += flops // 2
            return flops

        return count

    def _convolution(self, op: Any) -> Callable[..., int]:
        def count(images: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, out_val: Any = None) -> int:
            self.elements += 0 if bias is None else out_val.numel()
            return int(flop_registry[op](images, weight, bias, *args, out_val=out_val))

        return count

    def _elementwise(self, elements: Callable[[tuple[Any, ...], Tensor], int]) -> Callable[..., int]:
        def count(*args: Any, out_val: Any = None, **_: Any) -> int:
            self.elements += elements(args, tree_leaves(out_val)[0])
            return 0

        return count

    def _pool(self, images: Any, *args: Any, out_val: Any = None, **_: Any) -> int:
        # Layers pool; what a network or a loss averages itself, no counter of layers sees.
        in_a_layer = len(self.mode.mod_tracker.parents) > 2
        if in_a_layer and images.ndim == 4 and tree_leaves(out_val)[0].ndim == 4:
            self.elements += images.numel()
        return 0


def _norm_elements(args: tuple[Any, ...], out: Tensor) -> int:
    affine = any(isinstance(factor, Tensor) for factor in args[1:])
    return math.prod(out.shape) * (2 if affine else 1)


def _is_tagged(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and hasattr(leaf, TAG)
