"""What a network costs: parameters, multiply-accumulates counted three ways, latency, peak memory."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torch.utils.module_tracker import ModuleTracker

from transkd.models import Segmenter
from transkd.models.heads.segformer import SegFormerHead

aten = torch.ops.aten

# Versions of torch before 2.15 have no formula for the attention that CPUs run.
flop_registry.setdefault(
    aten._scaled_dot_product_flash_attention_for_cpu, flop_registry[aten._scaled_dot_product_flash_attention]
)
PRODUCTS = (aten.mm, aten.addmm, aten.bmm, aten.baddbmm)
FUSED_ATTENTION = tuple(
    op for op in flop_registry if str(op).startswith("aten.") and "attention" in str(op) and "backward" not in str(op)
)
CONVOLUTIONS = (aten.convolution, aten._convolution, aten.cudnn_convolution)
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
        return Macs(*map(sum, zip(astuple(self), astuple(other), strict=True)))


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations, and marks every tensor that is computed from a marked one.

    Attributes:
        flops: of all matrix products and convolutions.
        attention: the part of ``flops`` that multiplies two marked tensors.
        elements: what mmcv's counter adds to the products of layers.
        modules: the modules that run.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.attention = self.elements = 0
        self.modules = ModuleTracker()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "aten":  # in inference mode, not split yet into the operations that are counted
            with self:
                if (out := func.decompose(*args, **kwargs)) is not NotImplemented:
                    return out
        out, op = func(*args, **kwargs), func._overloadpacket
        results = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if op in flop_registry:
            flops = int(flop_registry[op](*args, **kwargs, out_val=out))
            self.flops += flops
            if op in FUSED_ATTENTION or (op in PRODUCTS and all(map(_is_marked, args[-2:]))):
                self.attention += flops
        if op in CONVOLUTIONS and args[2] is not None:
            self.elements += results[0].numel()
        elif op in NORMS:
            affine = any(isinstance(factor, Tensor) for factor in args[1:])
            self.elements += results[0].numel() * (2 if affine else 1)
        elif op in ACTIVATIONS:
            self.elements += results[0].numel()
        elif op in POOLS and args[0].ndim == results[0].ndim == 4 and len(self.modules.parents) > 2:
            self.elements += args[0].numel()  # in a layer: no counter of layers sees what a loss averages itself
        if any(map(_is_marked, tree_leaves((args, kwargs)))):
            _mark(results)
        return out


def _mark(tensors: Iterable[Tensor]) -> None:
    for tensor in tensors:
        tensor._transkd_from_the_image = True  # type: ignore[attr-defined]


def _is_marked(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and hasattr(leaf, "_transkd_from_the_image")


def count_work(call: Callable[[], Any], data: Iterable[Tensor]) -> Macs:
    """Count the multiply-accumulates of ``call``; no head is unfactorised for the published count.

    Args:
        call: what to count.
        data: the tensors that it computes from. A product of two tensors that both follow from them is attention's;
            a product with a parameter is a layer's, however it is written.
    """
    counter = _Counter()
    _mark(data)
    with counter.modules, counter:
        call()
    layers = (counter.flops - counter.attention) // 2
    return Macs(counter.flops // 2, layers, layers + counter.elements)


def count_network(network: nn.Module, size: tuple[int, int]) -> Macs:
    """Count the multiply-accumulates of one image's logits, without computing them.

    Args:
        network: from (1, 3, H, W) images in [0, 1] to logits; a segmenter's SegFormer head is also counted in the form
            that it was published in.
        size: height and width in pixels.
    """
    device = next(iter(network.parameters()), torch.empty(0)).device

    def count(forward: Callable[[Tensor], object]) -> Macs:
        with without_computing(network):
            image = torch.empty(1, 3, *size, device=device)
            return count_work(lambda: forward(image), [image])

    built, published = count(network), published_forward(network)
    return replace(built, as_published=count(published).as_published) if published else built


def published_forward(network: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return a forward pass through the SegFormer head as published (Xie et al., 2021, section 3.2).

    Each feature map goes through its linear layer and is upsampled to the size of the first; a 1x1 convolution fuses
    their concatenation, deepest first. In evaluation it computes the same as the segmenter, up to rounding.

    Returns:
        From (B, 3, H, W) images to (B, K, H/4, W/4) logits; None for a network that has no such head.
    """
    if not isinstance(network, Segmenter) or not isinstance(head := network.head, SegFormerHead):
        return None

    def forward(images: Tensor) -> Tensor:
        features = network.taps(images).features
        size = features[0].shape[2:]
        widened = [
            F.interpolate(layer(feature.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), size, mode="bilinear")
            for layer, feature in zip(head.linear, features, strict=True)
        ]
        fused = head.norm(head.fuse(torch.cat(widened[::-1], dim=1)))
        return head.classifier(head.dropout(F.relu(fused)))  # type: ignore[no-any-return]

    return forward


def latency_ms(segmenter: nn.Module, size: tuple[int, int], *, runs: int = 10, warm_up: int = 3) -> float:
    """Return the median milliseconds from one image to its logits, on the segmenter's own device.

    Args:
        segmenter: a network from (B, 3, H, W) images to logits; it is put into eval mode for the time being.
        size: height and width in pixels.
        runs: timed passes.
        warm_up: untimed passes before them.
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
