"""Scenes on disk as tensors, one draw at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from transkd.data.classes import ClassSet
from transkd.data.datasets import Sample, Scenes, find_scenes, find_unlabelled_images
from transkd.data.reading import read_image
from transkd.errors import ConfigError, DataError


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


class SeededTransform(Protocol):
    """Anything that turns an image, its label and a seed into a new image and label."""

    def __call__(
        self, image: npt.NDArray[np.uint8], label: npt.NDArray[np.uint8], seed: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Transform (H, W, 3) and (H, W) arrays, both uint8."""


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

    Raises:
        ConfigError: if the seed is negative.
    """

    def __init__(self, scenes: Scenes, transform: SeededTransform | None = None, *, seed: int = 0) -> None:
        if seed < 0:
            raise ConfigError(f"seed={seed}: give a whole number, 0 or more.")
        self.samples: list[Sample] = scenes.samples
        self.classes: ClassSet = scenes.classes
        self._read_label = scenes.read_label
        self._transform = transform
        self._seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, pick: Pick | int) -> Item:
        """Read and transform one sample.

        Args:
            pick: which sample in which epoch, or an index alone.

        Returns:
            The sample; a padding pick's label is all ignored.

        Raises:
            DataError: if a file is missing or unreadable, image and label differ in size, or the label holds
                an id outside the classes; names the file.
            IndexError: if there is no such sample.
        """
        epoch, index, padding = pick if isinstance(pick, Pick) else Pick(0, pick)
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        image, label = self._read(self.samples[index])
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
        listed = indices.tolist() if isinstance(indices, Tensor) else indices
        return [str(self.samples[index].image) for index in listed]

    def _read(self, sample: Sample) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        image, label = read_image(sample.image), self._read_label(sample.label)
        check_sizes(sample, image.shape[:2], label.shape)
        return image, label


def check_sizes(sample: Sample, image: tuple[int, ...], label: tuple[int, ...]) -> None:
    """Raise a DataError that names both files unless an image and its label have the same (height, width)."""
    if image == label:
        return
    advice = "Use the files that belong together."
    if image == label[::-1]:
        advice = (
            "The one is turned by 90 degrees. An image is shown as its EXIF orientation says: if the label was made "
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
    **options: object,
) -> SegmentationDataset:
    """Find a dataset's scenes and make them readable.

    Args:
        name: one of :func:`transkd.data.available_datasets`.
        root: the dataset's folder; relative paths and ``~`` are fine.
        split: the split's name.
        transform: what is done to image and label, None for nothing.
        seed: the run's seed, 0 or more.
        labelled: False ignores all pixels and needs no labels, for images that a benchmark's server scores.
        **options: what else the dataset takes (ACDC: ``conditions``; a custom folder: ``classes``, ...).

    Returns:
        The dataset.

    Raises:
        ConfigError: if the dataset or an option does not exist.
        DataError: if files are missing; names them, the layout expected and where to get the data.
    """
    find = find_scenes if labelled else find_unlabelled_images
    return SegmentationDataset(find(name, root, split, **options), transform, seed=seed)
