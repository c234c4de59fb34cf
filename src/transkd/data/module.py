"""A dataset, its augmentation and its loaders, for a trainer."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from transkd.data.classes import ClassSet
from transkd.data.dataset import SegmentationDataset, build_dataset
from transkd.data.datasets import classes_of
from transkd.data.loading import EpochBatchSampler, ResumableLoader
from transkd.data.transforms import LabelSize, build_transform, evaluation, parse_size
from transkd.errors import CheckpointError, ConfigError


class SceneDataModule(LightningDataModule):
    """Everything between a folder of scenes and batches for training and validation.

    Batches are ``{"image": (B, 3, H, W) uint8, "label": (B, H, W) uint8, "index": (B,) int64}``. With several
    processes, validation scores each sample once: shares are made equal with all-ignored padding. The trainer
    must leave the samplers alone (``Trainer(use_distributed_sampler=False)``).

    Args:
        name: the dataset, one of :func:`transkd.data.available_datasets`.
        root: its folder; relative paths and ``~`` are fine.
        size: the images' short side in pixels, or [height, width], or "native".
        augment: the recipe, "paper", "standard" or "none".
        augment_options: the recipe's keyword arguments (see ``data/transforms.py``).
        dataset_options: what else the dataset takes (ACDC: ``conditions``).
        train_split: what to train on.
        val_split: what to validate on.
        val_size: what images are resized to for validation; None means ``size``.
        label_size: "image" resizes validation labels (nearest) with their image, "own" keeps their size.
        val_labelled: False needs no labels for ``val_split`` and ignores all its pixels.
        batch_size: samples a training batch, on each process.
        val_batch_size: samples a validation batch; None means ``batch_size``.
        workers: processes that read, for each of the two loaders.
        pin_memory: whether to use page-locked memory; None means where there is a GPU.
        persistent_workers: whether workers live on between epochs.
        prefetch: how many batches each worker reads ahead.
        shuffle: whether each training epoch has an order of its own; a trainer that overfits batches
            (``Trainer(overfit_batches=...)``) turns it off.
        seed: what order and augmentation derive from.

    Raises:
        ConfigError: if a name, an option or a value does not exist or makes no sense.
        DataError: if the classes are read from a file below the root that is missing or wrong.
    """

    name: str

    def __init__(
        self,
        name: str,
        root: str | Path,
        *,
        size: int | Sequence[int] | str = 512,
        augment: str = "standard",
        augment_options: Mapping[str, Any] | None = None,
        dataset_options: Mapping[str, Any] | None = None,
        train_split: str = "train",
        val_split: str = "val",
        val_size: int | Sequence[int] | str | None = None,
        label_size: LabelSize = "image",
        val_labelled: bool = True,
        batch_size: int = 4,
        val_batch_size: int | None = None,
        workers: int = 2,
        pin_memory: bool | None = None,
        persistent_workers: bool = True,
        prefetch: int = 2,
        shuffle: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        batch_sizes = {"train": batch_size, "val": batch_size if val_batch_size is None else val_batch_size}
        positive = {"batch_size": batch_size, "val_batch_size": batch_sizes["val"], "prefetch": prefetch}
        for key, value in positive.items():
            if value < 1:
                raise ConfigError(f"{key}={value}: give 1 or more.")
        for key, value in {"workers": workers, "seed": seed}.items():
            if value < 0:
                raise ConfigError(f"{key}={value}: give 0 or more.")
        self._options = dict(dataset_options or {})
        self.classes: ClassSet = classes_of(name, root, **self._options)
        self.name = name
        self._root = str(root)
        self._splits = {"train": train_split, "val": val_split}
        self._labelled = {"train": True, "val": val_labelled}
        self._batch_sizes = batch_sizes
        evaluated_at = parse_size(size if val_size is None else val_size, "val_size")
        self._transforms = {
            "train": build_transform(augment, size, **(augment_options or {})),
            "val": evaluation(evaluated_at, label_size=label_size),
        }
        self._shuffle = shuffle
        self._seed = seed
        self._loader_options: dict[str, Any] = {
            "workers": workers,
            "pin_memory": torch.cuda.is_available() if pin_memory is None else pin_memory,
            "persistent_workers": persistent_workers,
            "prefetch": prefetch,
        }
        self._datasets: dict[str, SegmentationDataset] = {}
        self._fingerprints: dict[str, dict[str, int | str]] = {}
        self._train_loader: ResumableLoader | None = None
        self._resume_position: dict[str, int] | None = None

    @property
    def train_dataset(self) -> SegmentationDataset:
        """The training scenes, augmented."""
        return self._dataset("train")

    @property
    def val_dataset(self) -> SegmentationDataset:
        """The validation scenes, resized only."""
        return self._dataset("val")

    def setup(self, stage: str | None = None) -> None:
        """Find all files of the splits of a stage, and read the first one, so that errors come before training.

        Raises:
            DataError: if files are missing or unreadable, or too few for a batch.
            ConfigError: if the trainer would replace the samplers.
        """
        fitting = stage in (None, "fit")
        for split in ("train", "val") if fitting else ("val",):
            self._dataset(split)[0]
            self._sampler(split)
        if fitting:
            train, val = ({sample.image for sample in self._dataset(split).samples} for split in ("train", "val"))
            if shared := sorted(train & val):
                rank_zero_warn(
                    f"{len(shared)} images are in both splits that are trained and validated on, such as {shared[0]}: "
                    "scores will be of images seen in training."
                )

    def train_dataloader(self) -> ResumableLoader:
        """Return the loader of shuffled, augmented, full batches, at the position of a loaded checkpoint."""
        self._train_loader = self._loader("train")
        if self._resume_position is not None:
            self._train_loader.load_state_dict(self._resume_position)
            self._resume_position = None
        return self._train_loader

    def state_dict(self) -> dict[str, Any]:
        """Return the training loader's position and what it reads, for a checkpoint."""
        if self._train_loader is None:
            return {}
        return {"train_loader": self._train_loader.state_dict(), "data": self.fingerprints()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next training loader resume where a checkpoint was taken, or raise a CheckpointError on other data.

        A trainer restores this before it requests loaders; its own restoring of loaders is skipped where the
        length of training was requested while optimisers were made.
        """
        self.check_same(state_dict.get("data"))
        self._resume_position = state_dict.get("train_loader")

    def check_same(self, recorded: Mapping[str, Any] | None) -> None:
        """Raise a CheckpointError if a run began on other data than this, as far as it recorded that."""
        changed = None if recorded is None else other_data(recorded, self.fingerprints())
        if changed:
            raise CheckpointError(
                f"the run cannot be resumed on other data than it began on: in {self._root}, {changed}. Give the data "
                "that it began on (data.root=…), or start a new run: resume=none name=…"
            )

    def val_dataloader(self) -> ResumableLoader:
        """Return the loader of the validation scenes, each once over all processes."""
        return self._loader("val")

    def test_dataloader(self) -> ResumableLoader:
        """Return the loader of the validation scenes, for ``Trainer.test``."""
        return self._loader("val")

    def file_names(self, indices: Sequence[int] | Tensor, split: str = "train") -> list[str]:
        """Return the paths of the image files behind a batch's ``index`` (B,), of the split "train" or "val"."""
        return self._dataset(split).file_names(indices)

    def fingerprint(self, split: str = "train") -> dict[str, int | str]:
        """Identify the files of the split "train" or "val", to recognise the same ones wherever they lie.

        Returns:
            ``count``: how many scenes; ``sha256``: of the sorted image and label paths below the root; ``content``: of
            those and their sizes in bytes, which other pictures of the same names do not have.
        """
        if split not in self._fingerprints:
            root = Path(self._root).expanduser().absolute()
            samples = self._dataset(split).samples
            files = [path for sample in samples for path in (sample.image, sample.label)]
            sizes = sorted((Path(os.path.relpath(file, root)).as_posix(), _bytes(file)) for file in files)
            self._fingerprints[split] = {
                "count": len(samples),
                "sha256": _digest(path for path, _ in sizes),
                "content": _digest(f"{path} {size}" for path, size in sizes),
            }
        return self._fingerprints[split]

    def fingerprints(self) -> dict[str, Any]:
        """Return the fingerprint of the validation split, with the training split's under ``train``."""
        return {**self.fingerprint("val"), "train": self.fingerprint("train")}

    def _dataset(self, split: str) -> SegmentationDataset:
        if split not in self._datasets:
            self._datasets[split] = build_dataset(
                self.name,
                self._root,
                self._splits[split],
                transform=self._transforms[split],
                seed=self._seed,
                labelled=self._labelled[split],
                **self._options,
            )
        return self._datasets[split]

    def _sampler(self, split: str) -> EpochBatchSampler:
        training = split == "train"
        overfitting = self.trainer is not None and bool(getattr(self.trainer, "overfit_batches", 0))
        rank, world_size = 0, 1
        if self.trainer is not None and self.trainer.world_size > 1:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            connector = getattr(self.trainer, "_accelerator_connector", None)
            if getattr(connector, "use_distributed_sampler", False):
                raise ConfigError(
                    "With several processes, SceneDataModule distributes the samples itself: "
                    "give the trainer use_distributed_sampler=False."
                )
        return EpochBatchSampler(
            len(self._dataset(split)),
            self._batch_sizes[split],
            seed=self._seed,
            shuffle=training and self._shuffle and not overfitting,
            drop_last=training,
            rank=rank,
            world_size=world_size,
        )

    def _loader(self, split: str) -> ResumableLoader:
        return ResumableLoader(self._dataset(split), self._sampler(split), **self._loader_options)


def other_data(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Describe which splits differ from those that a result recorded, as far as it did; None where none does.

    Args:
        recorded: what :meth:`SceneDataModule.fingerprints` returned then; results of older versions lack parts of it.
        now: what it returns now.
    """
    changed = []
    for split, then, here in (("validation", recorded, now), ("training", recorded.get("train") or {}, now["train"])):
        if any(then.get(key, here[key]) != here[key] for key in ("count", "sha256", "content")):
            same = then.get("count") == here["count"]
            what = "other files" if same else f"{here['count']} scenes, not {then.get('count')}"
            changed.append(f"the {split} split has {what}")
    return " and ".join(changed) or None


def _bytes(file: Path) -> int:
    """Return the size of a file, -1 where it does not exist (reading it reports that)."""
    try:
        return file.stat().st_size
    except OSError:
        return -1


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
