"""Files on disk to batches: datasets, reading, augmentation, loading."""

from typing import TYPE_CHECKING

from transkd.lazy import lazy_names

if TYPE_CHECKING:
    from transkd.data.classes import CAMVID, CITYSCAPES, ClassSet
    from transkd.data.dataset import Pick, SegmentationDataset, build_dataset
    from transkd.data.datasets import Sample, available_datasets
    from transkd.data.module import SceneDataModule

__all__ = [
    "CAMVID",
    "CITYSCAPES",
    "ClassSet",
    "Pick",
    "Sample",
    "SceneDataModule",
    "SegmentationDataset",
    "available_datasets",
    "build_dataset",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "classes": ["CAMVID", "CITYSCAPES", "ClassSet"],
        "dataset": ["Pick", "SegmentationDataset", "build_dataset"],
        "datasets": ["Sample", "available_datasets"],
        "module": ["SceneDataModule"],
    },
)
