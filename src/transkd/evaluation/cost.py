"""What a network costs: parameters, multiply-accumulates counted three ways, latency, peak memory."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from transkd.models import Segmenter
from transkd.models.heads.segformer import SegFormerHead

aten = torch.ops.aten

PRODUCTS = (aten.mm, aten.addmm, aten.bmm, aten.baddbmm)
CONVOLUTIONS = (aten.convolution, aten._convolution, aten.cudnn_convolution)
# Versions of torch before 2.15 have no formula for the attention that CPUs run.
flop_registry.setdefault(
    aten._scaled_dot_product_flash_attention_for_cpu, flop_registry[aten._scaled_dot_product_flash_attention]
)
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
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): the peak of the resident set becomes its present size
MEGA = 1e6


def count_parameters(module: nn.Module, *, trainable: bool = False) -> int:
    """Return the number of parameters of ``module``, or only of those that train."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


@contextmanager
def without_computing(*modules: nn.Module) -> Iterator[None]:
    """Let tensors have shapes but no values: forward passes cost nothing and change nothing.

    Args:
        modules: put into eval mode for the time being, so that batch norm accepts a batch of one.
    """
    training = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        for module, mode in zip(modules, training, strict=True):
            module.train(mode)


def count_macs(call: Callable[[], Any]) -> int:
    """Return the multiply-accumulates of ``call``: matrix products and convolutions, attention included.

    Torch counts two FLOPs a multiply-accumulate.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops()) // 2


def segmenter_gmacs(segmenter: nn.Module, size: tuple[int, int]) -> float:
    """Return the GMAC of one image's logits, counted without computing them.

    Args:
        segmenter: a network from (B, 3, H, W) images to logits.
        size: height and width in pixels.
    """
    device = next(segmenter.parameters()).device
    with without_computing(segmenter):
        image = torch.empty(1, 3, *size, device=device)
        return count_macs(lambda: segmenter(image)) / 1e9


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

    def in_giga(self) -> dict[str, float]:
        """Return the three counts in 10^9 multiply-accumulates, by name."""
        return {name: count / 1e9 for name, count in asdict(self).items()}

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


def latency_ms(segmenter: nn.Module, size: tuple[int, int], *, runs: int = 10, warm_up: int = 3) -> float:
    """Return the median milliseconds from one image to its logits, on the segmenter's own device.

    Args:
        segmenter: a network from (B, 3, H, W) images to logits; it is put into eval mode for the time being.
        size: height and width in pixels.
        runs: timed passes.
        warm_up: passes before them that are not timed.
    """
    device = next(segmenter.parameters()).device
    image = torch.zeros(1, 3, *size, device=device)
    was_training = segmenter.training
    segmenter.eval()
    times = []
    with torch.inference_mode():
        for run in range(warm_up + runs):
            start = time.perf_counter()
            segmenter(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if run >= warm_up:
                times.append(1e3 * (time.perf_counter() - start))
    segmenter.train(was_training)
    return statistics.median(times)


def start_peak() -> int:
    """Return the resident set's size in bytes, and begin a new peak; without proc(5), the peak so far."""
    with suppress(OSError):
        CLEAR_REFS.write_text(RESET_PEAK)
    return peak_bytes()


def peak_bytes() -> int:
    """Return the peak of the resident set in bytes."""
    with suppress(OSError, StopIteration):
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


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
