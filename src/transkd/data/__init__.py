"""Files on disk to batches: datasets, reading, augmentation, loading."""

from transkd.data.classes import CAMVID, CITYSCAPES, ClassSet
from transkd.data.dataset import SegmentationDataset, build_dataset
from transkd.data.datasets import available_datasets
from transkd.data.module import SceneDataModule
from transkd.data.samples import Pick, Sample

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
