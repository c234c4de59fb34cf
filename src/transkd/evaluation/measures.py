"""What is read off confusion counts beside the mean IoU: accuracies, weights, categories, confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

RESAMPLES_AT_ONCE = 256  # bounds the memory where classes are many


def class_ious(confusion: Tensor) -> Tensor:
    """Return the IoU of each class (..., K) from counts (..., K, K); NaN for one that occurs in neither."""
    counts = confusion.double()
    right = counts.diagonal(dim1=-2, dim2=-1)
    return right / (counts.sum(-2) + counts.sum(-1) - right)


def mean_iou(confusion: Tensor) -> Tensor:
    """Return the mean IoU (...) over the classes that occur, from counts (..., K, K)."""
    return class_ious(confusion).nanmean(-1)


def class_accuracies(confusion: Tensor) -> Tensor:
    """Return each class's share of right pixels among those labelled so (K); NaN where the labels do not have it."""
    counts = confusion.double()
    return counts.diagonal() / counts.sum(1)


def frequency_weighted_iou(confusion: Tensor) -> float:
    """Return the IoUs' mean weighted by each class's share of the labelled pixels (Long et al., 2015)."""
    counts = confusion.double()
    shares = counts.sum(1) / counts.sum()
    return float((shares * class_ious(confusion).nan_to_num()).sum())


def category_ious(confusion: Tensor, class_names: Sequence[str], categories: Mapping[str, str]) -> dict[str, float]:
    """Return the IoU of each category, where confusions within a category count as right (Cordts et al., 2016).

    Args:
        confusion: (K, K).
        class_names: K names.
        categories: class name -> category.

    Returns:
        Category -> IoU, for the categories that occur.
    """
    names = list(dict.fromkeys(categories[name] for name in class_names))
    belongs = torch.zeros(len(class_names), len(names), dtype=torch.float64)
    for place, name in enumerate(class_names):
        belongs[place, names.index(categories[name])] = 1
    ious = class_ious(belongs.T @ confusion.double() @ belongs)
    return {name: iou for name, iou in zip(names, ious.tolist(), strict=True) if not math.isnan(iou)}


def bootstrap_interval(
    matrices: Tensor, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Return a percentile bootstrap confidence interval of the mean IoU over images (Efron, 1979).

    Args:
        matrices: (N, K, K) counts of each image.
        resamples: how often N images are drawn with replacement.
        confidence: share of the resamples inside the interval.
        seed: the same seed draws the same images.

    Returns:
        Its two ends; None for fewer than two images with labels, or without resamples.
    """
    labelled = matrices[matrices.flatten(1).any(1)]
    count = len(labelled)
    if count < 2 or resamples < 1:
        return None
    rng = np.random.default_rng(seed)
    draws = torch.from_numpy(rng.multinomial(count, np.full(count, 1 / count), size=resamples)).double()
    flat = labelled.flatten(1).double()
    parts = [draws[start : start + RESAMPLES_AT_ONCE] for start in range(0, resamples, RESAMPLES_AT_ONCE)]
    scores = torch.cat([mean_iou((part @ flat).reshape(-1, *matrices.shape[1:])) for part in parts]).numpy()
    tail = (1 - confidence) / 2
    low, high = np.quantile(scores, [tail, 1 - tail]).tolist()
    return low, high
