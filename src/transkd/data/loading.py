"""Batches, from any position in any epoch."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from transkd.data.dataset import Item, Pick, SegmentationDataset
from transkd.data.transforms import single_threaded_opencv
from transkd.errors import CheckpointError, DataError, TransKDError


class EpochBatchSampler(Sampler[list[Pick]]):
    """Batches of picks that depend on the seed and the epoch alone.

    All processes together see every sample once an epoch, and each gets the same number of batches. Batch b
    of all processes together holds the same samples whatever their number, at an equal global batch size.
    With ``drop_last``, samples that do not fill a batch on every process are left out (training), else padding picks
    make the processes' shares equal (validation). Without ``shuffle`` each epoch has the dataset's order.

    Attributes:
        epoch: the epoch that the next iteration draws.
        start_batch: the batch that the next iteration starts with; the length does not depend on it.

    Raises:
        DataError: if there are no samples, or too few for a batch with ``drop_last``.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if num_samples < 1:
            raise DataError("The dataset holds no samples.")
        if drop_last and num_samples < batch_size * world_size:
            processes = f" on each of {world_size} processes" if world_size > 1 else ""
            raise DataError(
                f"{num_samples} samples do not fill one batch of {batch_size}{processes}: "
                f"lower the batch size to at most {num_samples // world_size}"
                + (", or use fewer processes." if world_size > 1 else ".")
            )
        self.epoch = 0
        self.start_batch = 0
        self._num_samples = num_samples
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle
        self._drop_last = drop_last
        self._rank = rank
        self._world_size = world_size

    @property
    def sampler(self) -> EpochBatchSampler:
        """Itself: trainers look here for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Count the batches of a whole epoch on this process."""
        share = self._num_samples // self._world_size
        if self._drop_last:
            return share // self._batch_size
        return -(-self._num_samples // (self._world_size * self._batch_size))

    def __iter__(self) -> Iterator[list[Pick]]:
        """Go through the batches of the epoch set now, whatever is set later."""
        own = self._order()[self._rank :: self._world_size]
        starts = range(self.start_batch * self._batch_size, len(own), self._batch_size)
        return iter([own[start : start + self._batch_size] for start in starts])

    def _order(self) -> list[Pick]:
        """Order the picks of all processes; rank r takes every world_size-th, from the r-th on."""
        indices = range(self._num_samples)
        if self._shuffle:
            rng = np.random.default_rng((self._seed, self.epoch))
            indices = rng.permutation(self._num_samples).tolist()
        picks = [Pick(self.epoch, index) for index in indices]
        if self._drop_last:
            return picks[: len(self) * self._batch_size * self._world_size]
        missing = -self._num_samples % self._world_size
        return picks + [picks[-1]._replace(padding=True)] * missing


class Batch(TypedDict):
    """``image`` (B, 3, H, W) uint8, ``label`` (B, H, W) uint8, ``index`` (B,) int64, the samples."""

    image: Tensor
    label: Tensor
    index: Tensor


def collate(items: Sequence[Item], dataset: SegmentationDataset) -> Batch:
    """Stack the samples of a dataset to a batch, or raise a DataError that names two files of different sizes."""
    first = items[0]
    for what in ("image", "label"):
        sizes = ["x".join(map(str, item[what].shape[-2:])) for item in items]
        other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
        if other is not None:
            names = dataset.file_names([first["index"], items[other]["index"]])
            raise DataError(
                f"The {what}s of a batch differ in size: {names[0]} gives {sizes[0]} pixels (height x width), "
                f"{names[1]} gives {sizes[other]}. Set data.size=[height,width] or use a recipe that crops, "
                "or set the batch size to 1."
            )
    return {
        "image": torch.stack([item["image"] for item in items]),
        "label": torch.stack([item["label"] for item in items]),
        "index": torch.tensor([item["index"] for item in items], dtype=torch.int64),
    }


class ResumableLoader(DataLoader[Item]):
    """A DataLoader that knows its position, and resumes there after ``load_state_dict``.

    An iteration goes through the rest of the epoch after ``load_state_dict``, once, and through whole epochs
    otherwise. The epoch is the last one that ``set_epoch`` was given, up to the first batch drawn (trainers create
    iterators before they set the epoch); without ``set_epoch`` a completed epoch is followed by the next one.
    The length is always that of a whole epoch. Iterating leaves the global random state alone.

    ``workers`` processes read, each ``prefetch`` batches ahead; 0 reads in this process.
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
            collate_fn=_unchanged,
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
        """Iterate over batches, workers starting with the first one drawn; their errors are as this process's."""
        epoch = self._picks.epoch
        if not self._resuming or self._epoch != epoch:
            self._consumed = 0
        self._epoch, self._resuming = epoch, False
        self._picks.start_batch = self._consumed
        try:
            with starting_workers():
                batches: Iterator[Batch | TransKDError] = super().__iter__()
        finally:
            self._picks.start_batch = 0
        for batch in batches:
            if isinstance(batch, TransKDError):
                # Else the traceback keeps the workers waiting, and Python's exit waits for each of them in turn.
                self._iterator = None
                if shutdown := getattr(batches, "_shutdown_workers", None):
                    shutdown()
                raise batch
            self._consumed += 1
            yield batch
        self._picks.set_epoch(epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; another than the current one starts at its first batch."""
        self._picks.set_epoch(epoch)

    def state_dict(self) -> dict[str, int]:
        """Return the position: the epoch, and how many of its batches were handed out."""
        epoch = self._picks.epoch
        return {"epoch": epoch, "batch": self._consumed if self._epoch == epoch else 0}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Resume at a position that ``state_dict`` returned; a CheckpointError if an epoch has fewer batches."""
        epoch, batch = int(state["epoch"]), int(state["batch"])
        if epoch < 0 or not 0 <= batch <= len(self):
            raise CheckpointError(
                f"The checkpoint stands at batch {batch} of epoch {epoch}, but an epoch has {len(self)} "
                "batches: the data, the batch size or the number of processes has changed since. "
                "Resume with the same."
            )
        self._picks.set_epoch(epoch)
        self._epoch, self._consumed, self._resuming = epoch, batch, True


class _WholeBatches(Dataset[Item]):
    """Reads whole batches, and returns a user's error as a value: torch raises a worker's with another message."""

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


def _unchanged(batch: Any) -> Any:
    return batch


@contextmanager
def starting_workers() -> Iterator[None]:
    """Start workers in here: they and all their threads begin with Ctrl-C and SIGTERM blocked.

    A thread that a library starts as a process forks (wandb's do) comes before :func:`init_worker`; were it to take the
    signal, the worker would die of it. The parent gets what came meanwhile when this ends.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def init_worker(_: int) -> None:
    """Keep a worker to one thread, and alive until its parent ends it.

    A terminal, ``timeout`` and SLURM send Ctrl-C and SIGTERM to all processes of a group. Were workers to die of that,
    the run could not finish its step and save a checkpoint. A worker whose parent is gone ends by itself.
    """
    single_threaded_opencv()
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, daemon=True).start()


def _obey_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
