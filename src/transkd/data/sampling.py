"""Which samples make up which batch of which epoch, on which process."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from transkd.data.samples import Pick
from transkd.errors import ConfigError, DataError


class EpochBatchSampler(Sampler[list[Pick]]):
    """Batches of picks that depend on the seed and the epoch alone.

    All processes together see every sample once an epoch, and each gets the same number of batches. Batch b
    of all processes together holds the same samples whatever their number, at an equal global batch size.

    Args:
        num_samples: how many samples the dataset holds.
        batch_size: picks a batch on this process.
        seed: the run's seed, 0 or more.
        shuffle: whether each epoch has an order of its own, else the dataset's.
        drop_last: whether samples that do not fill a batch on every process are left out (training).
        rank: this process, from 0.
        world_size: how many processes there are.
        pad: whether padding picks make the processes' shares equal (validation). Needed with several
            processes unless ``drop_last``.

    Attributes:
        epoch: the epoch that the next iteration draws.
        start_batch: the batch that the next iteration starts with; the length does not depend on it.

    Raises:
        ConfigError: if the batch size or the processes make no sense.
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
        pad: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size}: give 1 or more.")
        if seed < 0:
            raise ConfigError(f"seed={seed}: give a whole number, 0 or more.")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank={rank} of world_size={world_size}: ranks run from 0 to world_size - 1.")
        if world_size > 1 and not (drop_last or pad):
            raise ConfigError("Several processes need equally many batches: set drop_last or pad.")
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
