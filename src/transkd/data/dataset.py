"""Scenes on disk as tensors, one draw at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from transkd.data.classes import ClassSet
from transkd.data.datasets import Sample, Scenes, find_scenes
from transkd.data.reading import read_image
from transkd.errors import DataError

Pixels = npt.NDArray[np.uint8]
SeededTransform = Callable[[Pixels, Pixels, int], tuple[Pixels, Pixels]]
"""Turns an image (H, W, 3), its label (H, W) and a seed into a new image and label."""


class Item(TypedDict):
    """One sample: ``image`` (3, H, W) uint8, ``label`` (H, W) uint8, ``index`` in ``dataset.samples``."""

    image: Tensor
    label: Tensor
    index: int


class Pick(NamedTuple):
    """One draw of a sample: everything that its augmentation may depend on besides the seed.

    Attributes:
        epoch: the epoch, from 0.
        index: the sample's place in ``dataset.samples``.
        padding: True where the pick only fills up a batch; its label is then all ignored.
    """

    epoch: int
    index: int  # type: ignore[assignment]
    padding: bool = False


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Derive the seed of one sample's augmentation from the run's seed, the epoch and the sample's index."""
    return int(np.random.SeedSequence((seed, epoch, index)).generate_state(1, np.uint64)[0])


class SegmentationDataset(Dataset[Item]):
    """Labelled scenes as uint8 tensors.

    Indexing keeps no state: what ``dataset[Pick(epoch, index)]`` gives depends on the pick and the seed
    alone, so any number of workers in any order agree. ``dataset[index]`` is the sample as in epoch 0.

    Args:
        scenes: the scenes to read.
        transform: what is done to image and label, None for nothing.
        seed: the run's seed, 0 or more.

    Attributes:
        samples: the files, in order.
        classes: what the class ids mean.
    """

    def __init__(self, scenes: Scenes, transform: SeededTransform | None = None, *, seed: int = 0) -> None:
        self.samples: list[Sample] = scenes.samples
        self.classes: ClassSet = scenes.classes
        self._read_label = scenes.read_label
        self._transform = transform
        self._seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, pick: Pick | int) -> Item:
        """Read and transform one sample; a padding pick's label is all ignored.

        Raises:
            DataError: if a file is missing or unreadable, image and label differ in size, or the label holds
                an id outside the classes; names the file.
        """
        epoch, index, padding = pick if isinstance(pick, Pick) else Pick(0, pick)
        sample = self.samples[index]
        index %= len(self)
        image, label = read_image(sample.image), self._read_label(sample.label)
        check_sizes(sample, image.shape[:2], label.shape)
        if self._transform is not None:
            image, label = self._transform(image, label, sample_seed(self._seed, epoch, index))
        if padding:
            label = np.full_like(label, self.classes.ignore_index)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "label": torch.from_numpy(np.ascontiguousarray(label)),
            "index": index,
        }

    def file_names(self, indices: Iterable[int] | Tensor) -> list[str]:
        """Return the paths of the image files of samples, such as a batch's ``index``."""
        return [str(self.samples[int(index)].image) for index in indices]


def check_sizes(sample: Sample, image: tuple[int, ...], label: tuple[int, ...]) -> None:
    """Raise a DataError that names both files unless an image and its label have the same (height, width)."""
    if image == label:
        return
    advice = "Use the files that belong together."
    if image == label[::-1]:
        advice = (
            "One of them is rotated by 90 degrees. Images are read in their EXIF orientation: if the label was made "
            "for the image as it is stored, take the orientation out of the image (exiftool -Orientation= FILE)."
        )
    raise DataError(
        f"{sample.label}: the label is {label[0]}x{label[1]} pixels (height x width), "
        f"but its image {sample.image} is {image[0]}x{image[1]}. {advice}"
    )


def build_dataset(
    name: str,
    root: Path | str,
    split: str,
    *,
    transform: SeededTransform | None = None,
    seed: int = 0,
    labelled: bool = True,
    **options: Any,
) -> SegmentationDataset:
    """Find a dataset's scenes and make them readable.

    Arguments and errors are those of :func:`transkd.data.datasets.find_scenes` and :class:`SegmentationDataset`.
    """
    return SegmentationDataset(find_scenes(name, root, split, labelled=labelled, **options), transform, seed=seed)
