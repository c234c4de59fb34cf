"""Class weights, mean and standard deviation from counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def erfnet_weights(pixels: Counts) -> Values:
    """Give 1 / ln(1.02 + p), p being a class's share of all labelled pixels (Paszke et al., 2016; ERFNet).

    Args:
        pixels: (K,) pixels a class.

    Returns:
        (K,) weights, from 1.42 for all pixels to 50.5 for none.
    """
    return np.asarray(1.0 / np.log(1.02 + pixels / max(1, pixels.sum())))


def median_frequency_weights(pixels: Counts, pixels_where_present: Counts) -> Values:
    """Give median frequency / frequency (Eigen and Fergus, ICCV 2015).

    Args:
        pixels: (K,) pixels a class.
        pixels_where_present: (K,) all pixels of the scenes that hold the class.

    Returns:
        (K,) weights; 0 for classes that never occur, which are left out of the median too.
    """
    weights = np.zeros(len(pixels))
    present = pixels > 0
    frequencies = pixels[present] / pixels_where_present[present]
    if len(frequencies):
        weights[present] = np.median(frequencies) / frequencies
    return weights


def mean_and_std(sums: Counts, squares: Counts, pixels: int) -> tuple[Values, Values]:
    """Give the mean and standard deviation of each channel, levels scaled to [0, 1].

    Args:
        sums: (3,) sums of levels.
        squares: (3,) sums of squared levels.
        pixels: how many there are.
    """
    mean = sums / max(1, pixels)
    variance = squares / max(1, pixels) - mean**2
    return mean / 255, np.sqrt(np.maximum(variance, 0)) / 255
