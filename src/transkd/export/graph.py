"""What is exported: a segmenter with its normalisation inside and its answer at the input's size."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from transkd.models import Segmenter
from transkd.models.heads.segformer import SegFormerHead

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
        normalised = (images.float() - self.get_buffer("mean")) / self.get_buffer("std")
        logits = self.head(self.backbone(normalised)[1])
        logits = functional.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=False)
        if self.result == "logits":
            return logits
        return logits.argmax(dim=1).to(torch.uint8 if self.num_classes <= 256 else torch.int32)

    def example(self, batch: int, height: int, width: int) -> Tensor:
        """Return images of the graph's type, for tracing."""
        images = torch.randint(0, 256, (batch, 3, height, width), generator=torch.Generator().manual_seed(0))
        return images.to(torch.uint8) if self.input_type == "uint8" else images.float() / 255


class AveragesByMatrices(nn.Module):
    """Adaptive average pooling to a fixed size, as two matrix products, which ONNX has for any input size.

    Args:
        size: height and width of the output.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, *size), the averages of (B, C, H, W)."""
        rows, columns = (_averages(length, bins) for length, bins in zip(x.shape[2:], self.size, strict=True))
        return rows @ x @ columns.T


def without_adaptive_pooling(module: ExportGraph) -> ExportGraph:
    """Replace adaptive average pooling, which ONNX lacks, in a copy."""
    module = copy.deepcopy(module)
    for name, child in list(module.named_modules()):
        if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size not in (1, (1, 1)):
            size = child.output_size
            height, width = size if isinstance(size, tuple) else (size, size)
            if height is not None and width is not None:
                module.set_submodule(name, AveragesByMatrices((height, width)))
    return module


def _averages(length: int, bins: int) -> Tensor:
    """Return the matrix (bins, length) that takes the averages which ``adaptive_avg_pool1d`` takes."""
    cells = torch.arange(bins)[:, None]
    start, end = cells * length // bins, ((cells + 1) * length + bins - 1) // bins
    places = torch.arange(length)
    inside = ((places >= start) & (places < end)).float()
    return inside / inside.sum(1, keepdim=True)
