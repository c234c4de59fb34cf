"""From pictures to classes and confidences at the pictures' own sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from transkd.errors import ConfigError, NonFiniteError
from transkd.evaluation.inference import LogitsOf
from transkd.evaluation.pictures import Pixels
from transkd.evaluation.predict.resizing import Size, input_size, resize
from transkd.evaluation.predict.windows import Windows, bands
from transkd.models.checks import SMALLEST_SIDE

WHOLE_VALUES = 2**24
"""Logits are resized all at once up to this many values; above, class by class, in a K-th of the memory."""


@dataclass(frozen=True)
class Prediction:
    """What a segmenter sees in a picture.

    Attributes:
        ids: (H, W) class ids, uint8 for up to 256 classes.
        confidence: (H, W) float32, the largest softmax value; None where it was not asked for.
    """

    ids: npt.NDArray[np.integer]
    confidence: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Network:
    """A segmenter as predictions need it.

    Attributes:
        logits_of: from images (B, 3, h, w) uint8 to logits (B, K, h', w'); None where it gives classes alone.
        classes_of: from images to classes (B, h, w), used where there are no logits.
        device: where images go.
        size: what pictures are resized to before.
        least: the smallest height and width that it takes; smaller pictures are enlarged.
        windows: windows to look through; None looks at the whole picture.
        batch_size: how many pictures or windows are computed at once.
        confidence: whether predictions hold confidences.
    """

    logits_of: LogitsOf | None
    classes_of: Callable[[Tensor], Tensor]
    device: torch.device
    size: Size = None
    least: tuple[int, int] = (SMALLEST_SIDE, SMALLEST_SIDE)
    windows: Windows | None = None
    batch_size: int = 1
    confidence: bool = False

    def sees(self, image: Pixels) -> tuple[int, int]:
        """Return the height and width that a picture (H, W, 3) is resized to."""
        return input_size((image.shape[0], image.shape[1]), self.size, self.least)

    def predict(self, images: Sequence[Pixels]) -> list[Prediction | NonFiniteError]:
        """Predict pictures.

        Args:
            images: (H, W, 3) uint8 each, of one size once they are resized.

        Returns:
            For each picture, classes and confidences of its own size, or why there are none.

        Raises:
            ConfigError: they do not fit into memory.
        """
        try:
            return self._predict(images)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise self._too_large(images) from error
        except RuntimeError as error:
            if "allocate memory" not in str(error):
                raise
            raise self._too_large(images) from error

    def _too_large(self, images: Sequence[Pixels]) -> ConfigError:
        height, width = self.sees(images[0])
        remedy = "a smaller batch_size" if len(images) > 1 else "inference=slide crop=[512,512], or a smaller size"
        return ConfigError(f"{len(images)} x {height}x{width} pixels do not fit into the memory: use {remedy}")

    @torch.no_grad()
    def _predict(self, images: Sequence[Pixels]) -> list[Prediction | NonFiniteError]:
        stack = np.stack([resize(image, self.sees(image)) for image in images])
        tensor = torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous().to(self.device)
        own = [(image.shape[0], image.shape[1]) for image in images]
        if self.logits_of is None:
            return [_nearest(ids, to) for ids, to in zip(self.classes_of(tensor), own, strict=True)]
        if self.windows is None:
            return [self._of_logits(part, to) for part, to in zip(self.logits_of(tensor), own, strict=True)]
        return [self._by_windows(image, self.windows, to) for image, to in zip(tensor, own, strict=True)]

    def _by_windows(self, image: Tensor, windows: Windows, own: tuple[int, int]) -> Prediction | NonFiniteError:
        assert self.logits_of is not None
        parts = bands(self.logits_of, image, windows, self.batch_size)
        if tuple(image.shape[-2:]) != own:
            return self._of_logits(torch.cat([logits for _, logits in parts], dim=1), own)
        found: list[Prediction] = []
        for _, logits in parts:
            band = self._of_logits(logits, (logits.shape[-2], logits.shape[-1]))
            if isinstance(band, NonFiniteError):
                return band
            found.append(band)
        ids = np.concatenate([band.ids for band in found])
        confidences = [band.confidence for band in found if band.confidence is not None]
        return Prediction(ids, np.concatenate(confidences) if confidences else None)

    def _of_logits(self, logits: Tensor, own: tuple[int, int]) -> Prediction | NonFiniteError:
        logits = logits.float()
        if not torch.isfinite(logits).all():
            return NonFiniteError("the class scores are NaN or infinite: the weights are damaged, or overflow")
        ids, confidence = classes_at(logits, own, confidence=self.confidence)
        prediction = Prediction(_numbers(ids, logits.shape[0]))
        return prediction if confidence is None else replace(prediction, confidence=confidence.cpu().numpy())


def classes_at(logits: Tensor, size: tuple[int, int], *, confidence: bool) -> tuple[Tensor, Tensor | None]:
    """Resize logits bilinearly, and take the largest one's class at each pixel.

    Args:
        logits: (K, h, w).
        size: height and width.
        confidence: whether to return the largest softmax value too.

    Returns:
        Classes (H, W) int64, and the confidences (H, W) in [0, 1].
    """
    if logits.shape[0] * size[0] * size[1] <= WHOLE_VALUES:
        best, ids = _resized(logits, size).max(dim=0)
    else:
        best, ids = _resized(logits[:1], size)[0], torch.zeros(size, dtype=torch.int64, device=logits.device)
        for index in range(1, logits.shape[0]):
            values = _resized(logits[index : index + 1], size)[0]
            ids.masked_fill_(values > best, index)
            best = torch.maximum(best, values)
    if not confidence:
        return ids, None
    total = torch.zeros_like(best)
    for index in range(logits.shape[0]):
        total += (_resized(logits[index : index + 1], size)[0] - best).exp_()
    return ids, total.reciprocal_()


def _resized(logits: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(logits.shape[-2:]) == size:
        return logits
    return functional.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]


def _nearest(ids: Tensor, size: tuple[int, int]) -> Prediction:
    if tuple(ids.shape) != size:
        ids = functional.interpolate(ids[None, None].double(), size, mode="nearest-exact")[0, 0]
    return Prediction(_numbers(ids, 1 + int(ids.max())))


def _numbers(ids: Tensor, count: int) -> npt.NDArray[np.integer]:
    numbers: npt.NDArray[np.integer] = ids.cpu().numpy().astype(np.uint8 if count <= 256 else np.uint16)
    return numbers
