"""What is exported: a segmenter with its normalisation inside and its result at the input's size, traced by torch."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx.experimental import _config as symbolic_shapes
from torch.nn import functional
from torch.utils._sympy.value_ranges import ValueRanges

from transkd.errors import ExportError, first_line
from transkd.models import Segmenter
from transkd.models.heads.segformer import SegFormerHead
from transkd.models.programs import PROGRAM_METADATA
from transkd.options import SMALLEST_SIDE

TRACED = (2, 256, 480)
"""Large enough that at stride 32 there are several windows of a shifted-window network, and unequal sides."""
_NEVER_ONE = 64  # from here on no feature map is a single row, which tracing would take for a broadcast

InputType = Literal["uint8", "float"]
ResultType = Literal["logits", "classes"]


class ExportGraph(nn.Module):
    """From RGB images of one type to logits or class ids at the images' size, in evaluation.

    The head's constant matrices are multiplied beforehand, so that the graph holds convolutions only.

    Args:
        segmenter: copied, so that it stays as it is.
        input_type: ``"uint8"`` images, or ``"float"`` ones in [0, 1].
        result: ``"logits"`` (B, K, H, W) float32, or ``"classes"`` (B, H, W) uint8, int32 past 256 classes.
    """

    def __init__(self, segmenter: Segmenter, input_type: InputType, result: ResultType) -> None:
        super().__init__()
        own = copy.deepcopy(segmenter).float().cpu().eval().requires_grad_(False)
        self.backbone = own.backbone
        self.head = own.head.folded() if isinstance(own.head, SegFormerHead) else own.head
        scale = 255.0 if input_type == "uint8" else 1.0
        self.register_buffer("mean", own.mean * scale)
        self.register_buffer("std", own.std * scale)
        self.num_classes = own.num_classes
        self.input_type: InputType = input_type
        self.result: ResultType = result
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, H, W) or classes (B, H, W) of ``images`` (B, 3, H, W)."""
        logits = self.logits(images)
        if self.result == "logits":
            return logits
        return logits.argmax(dim=1).to(torch.uint8 if self.num_classes <= 256 else torch.int32)

    def logits(self, images: Tensor) -> Tensor:
        """Return logits (B, K, H, W), whatever the graph's result is."""
        normalised = (images.float() - self.get_buffer("mean")) / self.get_buffer("std")
        logits = self.head(self.backbone(normalised)[1])
        return functional.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=False)

    def example(self, batch: int, height: int, width: int) -> Tensor:
        """Return images of the graph's type, for tracing."""
        images = torch.randint(0, 256, (batch, 3, height, width), generator=torch.Generator().manual_seed(0))
        return images.to(torch.uint8) if self.input_type == "uint8" else images.float() / 255


def capture(graph: ExportGraph, size: tuple[int, int] | None) -> ExportedProgram:
    """Trace a graph for any batch, and for images of ``size`` or, where it is None, of any from 32 pixels a side.

    Tracing asserts relations of sizes (a row is not alone, one side is longer), which chose between memory formats and
    not between results, so the assertions are dropped; the comparison with the source shows that this is right.
    """
    axes: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    if size is None:
        axes |= {2: torch.export.Dim("height", min=_NEVER_ONE), 3: torch.export.Dim("width", min=_NEVER_ONE)}
    example = graph.example(TRACED[0], *(size or TRACED[1:]))
    with symbolic_shapes.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        program = torch.export.export(
            graph, (example,), dynamic_shapes=(axes,), strict=False, prefer_deferred_runtime_asserts_over_guards=True
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names paths of the machine
    if size is None:
        for node in [node for node in program.graph.nodes if node.target is torch.ops.aten._assert_scalar.default]:
            program.graph.erase_node(node)
        program.graph.eliminate_dead_code()
        program.graph_module.recompile()
        for symbol, allowed in list(program.range_constraints.items()):
            if allowed.lower >= SMALLEST_SIDE:
                program.range_constraints[symbol] = ValueRanges(SMALLEST_SIDE, allowed.upper)
    return program


def write_program(graph: ExportGraph, path: Path, metadata: Mapping[str, Any], *, size: tuple[int, int] | None) -> None:
    """Write the graph as a ``torch.export`` program (``.pt2``), for images of ``size`` or of any, and for any batch.

    Raises:
        ExportError: the network cannot be traced.
    """
    try:
        with quietly():
            program = capture(graph, size)
            with path.open("wb") as file:
                torch.export.save(program, file, extra_files={PROGRAM_METADATA: json.dumps(dict(metadata))})
    except Exception as error:  # torch.export's classes are many
        remedy = "" if size else ": fix the size of the images, dynamic=false size=[H,W]"
        raise ExportError(
            f"the network cannot be traced by torch.export ({first_line(error)[:200]}){remedy}"
        ) from error


@contextmanager
def quietly() -> Iterator[None]:
    """Suppress what exporters print, log and warn of."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


class AveragesByMatrices(nn.Module):
    """Adaptive average pooling to a fixed height and width, as two matrix products, which ONNX has for any input."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, *size), the averages of (B, C, H, W)."""
        matrices = []  # each (bins, length)
        for length, bins in zip(x.shape[2:], self.size, strict=True):
            cells, positions = torch.arange(bins)[:, None], torch.arange(length)
            start, end = cells * length // bins, ((cells + 1) * length + bins - 1) // bins
            inside = ((positions >= start) & (positions < end)).float()
            matrices.append(inside / inside.sum(1, keepdim=True))
        rows, columns = matrices
        return rows @ x @ columns.T


def without_adaptive_pooling(module: ExportGraph) -> ExportGraph:
    """Replace adaptive average pooling, which ONNX lacks, in a copy."""
    module = copy.deepcopy(module)
    for name, child in list(module.named_modules()):
        if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size not in (1, (1, 1)):
            size: Any = child.output_size
            module.set_submodule(name, AveragesByMatrices(size if isinstance(size, tuple) else (size, size)))
    return module
