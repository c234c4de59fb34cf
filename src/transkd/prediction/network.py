"""From pictures to classes and confidences at the pictures' own sizes, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from transkd.errors import ConfigError, DataError, NonFiniteError, TransKDError
from transkd.evaluation.inference import Inference, LogitsOf, infer, window_starts
from transkd.evaluation.pictures import Pixels
from transkd.evaluation.protocol import logits_at
from transkd.options import SMALLEST_SIDE

Size = int | tuple[int, int] | None
"""A short side in pixels (the aspect ratio stays), an exact (height, width), or None for a picture's own."""
MOST_ENLARGED = 2**24
"""No picture is enlarged to more pixels: a strip of 3x5000 with a short side of 512 would be one of 512x853333."""

DENSE_PIXELS = 2**22
"""Windows, scales and flip give scores at every pixel of what the segmenter sees: of up to so many pixels at once."""


def input_size(
    own: tuple[int, int], size: Size, least: tuple[int, int] = (SMALLEST_SIDE, SMALLEST_SIDE)
) -> tuple[int, int]:
    """Return the height and width that a picture is resized to.

    Args:
        own: the picture's height and width.
        size: the requested one.
        least: the smallest height and width that the segmenter takes.

    Raises:
        DataError: it would be enlarged beyond ``MOST_ENLARGED``.
    """
    if size is None:
        height, width = own
    elif isinstance(size, int):
        factor = size / min(own)
        height, width = (round(side * factor) for side in own)
    else:
        height, width = size
    height, width = max(least[0], height), max(least[1], width)
    if height * width > max(MOST_ENLARGED, own[0] * own[1]):
        raise DataError(
            f"{own[0]}x{own[1]} pixels would be enlarged to {height}x{width} for the model: "
            "give another size, such as size=native"
        )
    return height, width


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a picture (H, W, 3) to a height and width as training does: bilinear, where smaller by areas' means."""
    if image.shape[:2] == size:
        return image
    smaller = size[0] < image.shape[0] or size[1] < image.shape[1]
    resized: Pixels = cv2.resize(
        image, (size[1], size[0]), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
    return resized


@torch.no_grad()
def bands(logits_of: LogitsOf, image: Tensor, windows: Inference) -> Iterator[Tensor]:
    """Yield the logits (K, rows, W) of a picture band by band from the top, those of ``infer`` up to rounding.

    Every row of windows is what ``infer`` gives for the strip that it covers; a pixel's logits are the mean of the
    rows that cover it, since as many windows of each of them do.

    Args:
        logits_of: from images (B, 3, h, w) to logits (B, K, h', w').
        image: (3, H, W) uint8, or floating point in [0, 1].
        windows: one view by windows.
    """
    assert windows.crop is not None
    assert windows.steps is not None
    height = image.shape[-2]
    window = min(windows.crop[0], height)
    total: Tensor | None = None
    rows = torch.zeros(0, device=image.device)
    for top, following in pairwise([*window_starts(height, window, windows.steps[0]), height]):
        strip = infer(logits_of, image[None, :, top : top + window], windows)[0]
        counts = torch.ones(window, device=image.device)
        if total is not None:
            strip[:, : total.shape[1]] += total
            counts[: len(rows)] += rows
        done = following - top
        yield strip[:, :done] / counts[:done, None]
        total, rows = strip[:, done:].clone(), counts[done:]


@dataclass(frozen=True)
class Prediction:
    """What a segmenter sees in a picture.

    Attributes:
        ids: (H, W) class ids, uint8 for up to 256 classes.
        confidence: (H, W) float32, the largest softmax value; None where it was not requested.
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
        views: windows, scales and flip, as a score has them.
        batch_size: how many pictures are computed at once.
        confidence: whether predictions hold confidences.
    """

    logits_of: LogitsOf | None
    classes_of: Callable[[Tensor], Tensor]
    device: torch.device
    size: Size = None
    least: tuple[int, int] = (SMALLEST_SIDE, SMALLEST_SIDE)
    views: Inference = field(default_factory=Inference)
    batch_size: int = 1
    confidence: bool = False

    def sees(self, image: Pixels) -> tuple[int, int]:
        """Return the height and width that a picture (H, W, 3) is resized to.

        Raises:
            DataError: it is so narrow that it would become far too large.
        """
        return input_size((image.shape[0], image.shape[1]), self.size, self.least)

    def predict(self, images: Sequence[Pixels]) -> list[Prediction | TransKDError]:
        """Predict pictures; where they do not fit into memory together, one by one.

        Args:
            images: (H, W, 3) uint8 each, of one size once they are resized.

        Returns:
            For each picture, classes and confidences of its own size, or why there are none.
        """
        try:
            return self.predict_batch(images)
        except TransKDError as error:
            return [error] * len(images)
        except (torch.OutOfMemoryError, MemoryError):
            pass
        except RuntimeError as error:
            if "allocate memory" not in str(error):
                raise
        if len(images) == 1:
            height, width = self.sees(images[0])
            remedy = "a smaller size, or leave out scales and flip"
            if self.views.is_plain:
                remedy = "inference=slide crop=[512,512], or a smaller size"
            return [ConfigError(f"{height}x{width} pixels do not fit into the memory: use {remedy}")]
        return [found for image in images for found in self.predict([image])]

    @torch.no_grad()
    def predict_batch(self, images: Sequence[Pixels]) -> list[Prediction | TransKDError]:
        """Predict pictures of one size once they are resized, together where memory allows."""
        stack = np.stack([resize(image, self.sees(image)) for image in images])
        tensor = torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous().to(self.device)
        own = [(image.shape[0], image.shape[1]) for image in images]
        if self.logits_of is None:
            return [nearest(ids, to) for ids, to in zip(self.classes_of(tensor), own, strict=True)]
        if self.views.is_plain or tensor[:, 0].numel() <= DENSE_PIXELS:
            scores = infer(self.logits_of, tensor, self.views)
            return [self.from_scores(part, to) for part, to in zip(scores, own, strict=True)]
        return [self.predict_large(image, to) for image, to in zip(tensor, own, strict=True)]

    def predict_large(self, image: Tensor, own: tuple[int, int]) -> Prediction | TransKDError:
        """Predict one picture (3, h, w) in the least memory that its windows, scales and flip allow."""
        assert self.logits_of is not None
        if self.views.averages or image[0].numel() <= DENSE_PIXELS or tuple(image.shape[-2:]) != own:
            return self.from_scores(infer(self.logits_of, image[None], self.views)[0], own)
        found: list[Prediction] = []
        for logits in bands(self.logits_of, image, self.views):
            band = self.from_scores(logits, (logits.shape[-2], logits.shape[-1]))
            if isinstance(band, TransKDError):
                return band
            found.append(band)
        confidences = [band.confidence for band in found if band.confidence is not None]
        ids = np.concatenate([band.ids for band in found])
        return Prediction(ids, np.concatenate(confidences) if confidences else None)

    def from_scores(self, scores: Tensor, own: tuple[int, int]) -> Prediction | TransKDError:
        """Return the prediction from class scores (K, h, w) at a picture's own size (height, width)."""
        scores = scores.float()
        if not torch.isfinite(scores).all():
            return NonFiniteError("the class scores are NaN or infinite: the weights are damaged, or overflow")
        ids, best = largest_at(scores, own)
        confidence = None
        if self.confidence:
            confidence = (best if self.views.averages else softmax_of(best, scores)).cpu().numpy()
        return Prediction(as_numbers(ids, scores.shape[0]), confidence)


def classes_at(scores: Tensor, size: tuple[int, int]) -> Iterator[Tensor]:
    """Yield the scores (H, W) of each class, resized bilinearly to ``size``: all at once would take K times as much."""
    for score in scores:
        yield logits_at(score[None, None], size)[0, 0]


def largest_at(scores: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Resize class scores (K, h, w) to a height and width, and return the largest one's class (H, W) and itself."""
    best = torch.full(size, -torch.inf, device=scores.device)
    ids = torch.zeros(size, dtype=torch.int64, device=scores.device)
    for index, values in enumerate(classes_at(scores, size)):
        ids.masked_fill_(values > best, index)
        best = torch.maximum(best, values)
    return ids, best


def softmax_of(best: Tensor, logits: Tensor) -> Tensor:
    """Return the softmax value of the largest logits ``best`` (H, W), those of ``logits`` (K, h, w) at that size."""
    total = torch.zeros_like(best)
    for values in classes_at(logits, (best.shape[0], best.shape[1])):
        total += (values - best).exp_()
    return total.reciprocal_()


def nearest(ids: Tensor, size: tuple[int, int]) -> Prediction:
    """Return class ids (h, w) at a height and width, each the nearest one."""
    if tuple(ids.shape) != size:
        ids = functional.interpolate(ids[None, None].double(), size, mode="nearest-exact")[0, 0]
    return Prediction(as_numbers(ids, 1 + int(ids.max())))


def as_numbers(ids: Tensor, count: int) -> npt.NDArray[np.integer]:
    """Return class ids as an array of the smallest type that holds ``count`` of them."""
    numbers: npt.NDArray[np.integer] = ids.cpu().numpy().astype(np.uint8 if count <= 256 else np.uint16)
    return numbers
