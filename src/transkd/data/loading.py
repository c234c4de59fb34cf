"""Batches, from any place in any epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from transkd.data.dataset import Item, SegmentationDataset
from transkd.data.samples import Pick
from transkd.data.sampling import EpochBatchSampler
from transkd.data.workers import init_worker, starting_workers
from transkd.errors import CheckpointError, DataError, TransKDError

__all__ = ["Batch", "EpochBatchSampler", "ResumableLoader", "collate"]


class Batch(TypedDict):
    """``image`` (B, 3, H, W) uint8, ``label`` (B, H, W) uint8, ``index`` (B,) int64, the samples."""

    image: Tensor
    label: Tensor
    index: Tensor


def collate(items: Sequence[Item], dataset: SegmentationDataset) -> Batch:
    """Stack samples to a batch.

    Args:
        items: the samples.
        dataset: where they are from.

    Returns:
        The batch.

    Raises:
        DataError: if images, or labels, differ in size; names two files and what to do.
    """
    first = items[0]
    for item in items[1:]:
        if item["image"].shape != first["image"].shape or item["label"].shape != first["label"].shape:
            raise DataError(_size_message(first, item, dataset))
    return {
        "image": torch.stack([item["image"] for item in items]),
        "label": torch.stack([item["label"] for item in items]),
        "index": torch.tensor([item["index"] for item in items], dtype=torch.int64),
    }


class ResumableLoader(DataLoader[Item]):
    """A DataLoader that knows its place, and continues there after ``load_state_dict``.

    An iteration goes through the rest of the epoch after ``load_state_dict``, once, and through whole epochs
    otherwise. The epoch is what ``set_epoch`` said last, up to the first batch drawn (trainers create
    iterators before they set the epoch); without ``set_epoch`` a completed epoch is followed by the next one.
    The length is always that of a whole epoch. Iterating leaves the global random state alone.

    Args:
        dataset: what to read.
        sampler: which samples make up which batch.
        workers: how many processes read; 0 reads in this one.
        pin_memory: whether batches are put into page-locked memory, for faster copies to a GPU.
        persistent_workers: whether workers live on between epochs.
        prefetch: how many batches each worker reads ahead.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        sampler: EpochBatchSampler,
        *,
        workers: int = 0,
        pin_memory: bool = False,
        persistent_workers: bool = True,
        prefetch: int = 2,
    ) -> None:
        super().__init__(
            _WholeBatches(dataset),
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=pin_memory,
            worker_init_fn=init_worker if workers else None,
            generator=torch.Generator().manual_seed(0),
            persistent_workers=persistent_workers and workers > 0,
            prefetch_factor=prefetch if workers else None,
        )
        self._picks = sampler
        self._epoch = 0
        self._consumed = 0
        self._resuming = False

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Iterate over batches, workers starting with the first one drawn.

        Raises:
            DataError: for a file that cannot be used; a worker's message is the same as this process's.
        """
        return _Pass(self)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; another than the current one starts at its first batch."""
        self._picks.set_epoch(epoch)

    def state_dict(self) -> dict[str, int]:
        """Give the place: the epoch, and how many of its batches were handed out."""
        epoch = self._picks.epoch
        return {"epoch": epoch, "batch": self._consumed if self._epoch == epoch else 0}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue at a place that ``state_dict`` gave.

        Raises:
            CheckpointError: if an epoch has fewer batches than that.
        """
        epoch, batch = int(state["epoch"]), int(state["batch"])
        if epoch < 0 or not 0 <= batch <= len(self):
            raise CheckpointError(
                f"The checkpoint stands at batch {batch} of epoch {epoch}, but an epoch has {len(self)} "
                "batches: the data, the batch size or the number of processes has changed since. "
                "Resume with the same."
            )
        self._picks.set_epoch(epoch)
        self._epoch, self._consumed, self._resuming = epoch, batch, True

    def _start(self) -> Iterator[Batch | TransKDError]:
        epoch = self._picks.epoch
        if not self._resuming or self._epoch != epoch:
            self._consumed = 0
        self._epoch, self._resuming = epoch, False
        self._picks.start_batch = self._consumed
        try:
            with starting_workers():
                return super().__iter__()
        finally:
            self._picks.start_batch = 0

    def _stop(self, batches: Iterator[Batch | TransKDError]) -> None:
        # Else the traceback keeps the workers waiting, and Python's exit waits for each of them in turn.
        self._iterator = None
        shutdown: Callable[[], None] | None = getattr(batches, "_shutdown_workers", None)
        if shutdown is not None:
            shutdown()

    def _handed_out(self) -> None:
        self._consumed += 1

    def _completed(self) -> None:
        self._picks.set_epoch(self._epoch + 1)


class _Pass(Iterator[Batch]):
    """One pass through (the rest of) an epoch."""

    def __init__(self, loader: ResumableLoader) -> None:
        self._loader = loader
        self._batches: Iterator[Batch | TransKDError] | None = None
        self._done = False

    def __next__(self) -> Batch:
        if self._done:
            raise StopIteration
        if self._batches is None:
            self._batches = self._loader._start()
        try:
            batch = next(self._batches)
        except StopIteration:
            self._done = True
            self._loader._completed()
            raise
        if isinstance(batch, TransKDError):
            self._done = True
            self._loader._stop(self._batches)
            raise batch
        self._loader._handed_out()
        return batch


class _WholeBatches(Dataset[Item]):
    """Reads whole batches, and gives a user's error as a value, which leaves a worker as it is.

    (torch raises a worker's exceptions again with the worker's traceback as their message.)
    """

    def __init__(self, dataset: SegmentationDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, pick: Pick) -> Item:
        return self._dataset[pick]

    def __getitems__(self, picks: Sequence[Pick]) -> Batch | TransKDError:
        try:
            return collate([self._dataset[pick] for pick in picks], self._dataset)
        except TransKDError as error:
            return error.with_traceback(None)


def _as_it_is(batch: Any) -> Any:
    return batch


def _size_message(one: Item, other: Item, dataset: SegmentationDataset) -> str:
    names = dataset.file_names([one["index"], other["index"]])
    what: Literal["image", "label"] = "image" if one["image"].shape != other["image"].shape else "label"
    sizes = ["x".join(str(n) for n in item[what].shape[-2:]) for item in (one, other)]
    return (
        f"The {what}s of a batch differ in size: {names[0]} gives {sizes[0]} pixels (height x width), "
        f"{names[1]} gives {sizes[1]}. Set data.size=[height,width] or use a recipe that crops, "
        "or set the batch size to 1."
    )
