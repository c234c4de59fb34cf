from __future__ import annotations

import os
import subprocess
import threading
import time
from itertools import chain
from multiprocessing.util import register_after_fork

import numpy as np
import pytest
import torch
from scene_files import ids, picture

from transkd.data.loading import EpochBatchSampler, ResumableLoader
from transkd.data.transforms import standard
from transkd.errors import CheckpointError, DataError


def indices(batches) -> list[list[int]]:
    return [[pick.index for pick in batch] for batch in batches]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def epoch(number: int, seed: int = 3) -> list[list[int]]:
        sampler = EpochBatchSampler(20, 4, seed=seed, shuffle=True, drop_last=True)
        sampler.set_epoch(number)
        return indices(sampler)

    assert epoch(5) == epoch(5)
    assert len({str(epoch(e)) for e in range(10)}) == 10
    assert epoch(5) != epoch(5, seed=4)
    assert sorted(chain(*epoch(5))) == list(range(20))


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("num_samples", [12, 17])
def test_processes_share_a_training_epoch(world_size: int, num_samples: int) -> None:
    ranks = [
        EpochBatchSampler(num_samples, 2, shuffle=True, drop_last=True, seed=1, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    epochs = [indices(sampler) for sampler in ranks]
    assert {len(epoch) for epoch in epochs} == {len(ranks[0])} == {num_samples // (2 * world_size)}
    assert all(len(batch) == 2 for epoch in epochs for batch in epoch)
    seen = [index for epoch in epochs for batch in epoch for index in batch]
    assert len(set(seen)) == len(seen)
    alone = indices(EpochBatchSampler(num_samples, 2 * world_size, shuffle=True, drop_last=True, seed=1))
    together = [sorted(chain(*batches)) for batches in zip(*epochs, strict=True)]
    assert together == [sorted(batch) for batch in alone]


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("num_samples", [1, 12, 13])
def test_padding_scores_each_sample_once(make_dataset, world_size: int, num_samples: int) -> None:
    dataset = make_dataset([(picture(i), np.full((24, 32), i, np.uint8)) for i in range(num_samples)])
    counts = np.zeros(256, int)
    lengths, sizes = [], []
    for rank in range(world_size):
        sampler = EpochBatchSampler(num_samples, 2, rank=rank, world_size=world_size)
        batches = list(ResumableLoader(dataset, sampler))
        lengths.append(len(batches))
        assert len(batches) == len(sampler)
        sizes.append([len(batch["index"]) for batch in batches])
        for batch in batches:
            counts += np.bincount(batch["label"].flatten().numpy(), minlength=256)
    assert len(set(lengths)) == 1
    assert all(size == sizes[0] for size in sizes)
    assert (counts[:num_samples] == 24 * 32).all(), "a sample was left out or scored twice"
    assert counts[255] == (-num_samples % world_size) * 24 * 32


def test_sampler_errors() -> None:
    with pytest.raises(DataError, match=r"3 samples do not fill one batch of 4: lower the batch size to at most 3"):
        EpochBatchSampler(3, 4, drop_last=True)
    with pytest.raises(DataError, match=r"7 samples do not fill .* on each of 2 processes: .* at most 3, or use fewer"):
        EpochBatchSampler(7, 4, drop_last=True, world_size=2)
    with pytest.raises(DataError, match="holds no samples"):
        EpochBatchSampler(0, 4)


WORKERS = pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, True)])


@pytest.fixture
def loader(make_dataset):
    pairs = [(picture(i), ids(i)) for i in range(13)]

    def make(workers: int = 0, persistent: bool = True, **options) -> ResumableLoader:
        dataset = make_dataset(pairs, standard(24, crop=(16, 16)), seed=9)
        sampler = EpochBatchSampler(13, 2, seed=9, shuffle=True, drop_last=True)
        return ResumableLoader(dataset, sampler, workers=workers, persistent_workers=persistent, **options)

    return make


def content(batch) -> tuple:
    return (batch["index"].tolist(), batch["image"].numpy().tobytes(), batch["label"].numpy().tobytes())


def three_epochs(loader: ResumableLoader) -> list[list[tuple]]:
    epochs = []
    for epoch in range(3):
        loader.set_epoch(epoch)
        epochs.append([content(batch) for batch in loader])
    return epochs


def test_workers_do_not_matter(loader) -> None:
    expected = three_epochs(loader())
    assert len({str(epoch) for epoch in expected}) == 3
    assert three_epochs(loader(2, False)) == expected
    assert three_epochs(loader(1, True, prefetch=5)) == expected


@WORKERS
@pytest.mark.parametrize("stop", [(0, 0), (1, 3), (1, 6)])
def test_a_resumed_loader_continues_as_if_never_stopped(loader, workers, persistent, stop) -> None:
    expected = three_epochs(loader())
    first = loader(workers, persistent)
    stop_epoch, stop_batch = stop
    for epoch in range(stop_epoch + 1 if stop_batch else 0):
        first.set_epoch(epoch)
        for number, _ in enumerate(first, start=1):
            if (epoch, number) >= stop:
                break
    state = first.state_dict()
    assert state == {"epoch": stop_epoch, "batch": stop_batch}
    second = loader(workers, persistent)
    second.load_state_dict(state)
    assert (second.state_dict(), len(second)) == (state, 6)
    batches = iter(second)
    assert second.state_dict() == state
    second.set_epoch(stop_epoch)
    assert [content(batch) for batch in batches] == expected[stop_epoch][stop_batch:]
    for epoch in range(stop_epoch + 1, 3):
        second.set_epoch(epoch)
        assert [content(batch) for batch in second] == expected[epoch]


@WORKERS
def test_where_an_iteration_starts(loader, workers, persistent) -> None:
    """At the epoch set when the first batch is drawn, at its start; the global random state is left alone."""
    expected = three_epochs(loader())
    torch.manual_seed(5)
    random = torch.rand(3)
    torch.manual_seed(5)
    late = loader(workers, persistent)
    late.load_state_dict({"epoch": 1, "batch": 6})
    batches = iter(late)
    late.batch_sampler.sampler.set_epoch(2)
    assert late.state_dict() == {"epoch": 2, "batch": 0}
    assert [content(batch) for batch in batches] == expected[2]
    for epoch in (0, 1, 1, 2):
        late.set_epoch(epoch)
        batches = iter(late)
        assert [content(next(batches)) for _ in range(4)] == expected[epoch][:4]
        assert late.state_dict() == {"epoch": epoch, "batch": 4}
    assert torch.equal(torch.rand(3), random)
    with pytest.raises(CheckpointError, match="stands at batch 7 of epoch 2, but an epoch has 6 batches"):
        late.load_state_dict({"epoch": 2, "batch": 7})


@WORKERS
def test_errors_arrive_as_they_are(make_dataset, tmp_path, workers, persistent) -> None:
    dataset = make_dataset([(picture(i), ids(i)) for i in range(4)])
    damaged = tmp_path / "image_002.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    batches = iter(ResumableLoader(dataset, EpochBatchSampler(4, 1), workers=workers, persistent_workers=persistent))
    assert [next(batches)["index"].item() for _ in range(2)] == [0, 1]
    with pytest.raises(DataError) as caught:
        next(batches)
    assert str(caught.value).startswith(f"{damaged}: cannot read this image")
    assert "Traceback" not in str(caught.value)
    assert "worker" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_images_of_different_sizes(make_dataset, tmp_path, workers) -> None:
    sizes = [(24, 32), (24, 32), (20, 32)]
    dataset = make_dataset([(picture(i, size), ids(i, size=size)) for i, size in enumerate(sizes)])
    message = (
        r"images of a batch differ in size: .*image_000\.png gives 24x32 pixels \(height x width\), "
        r".*image_002\.png gives 20x32\. Set data\.size=\[height,width\] or use a recipe that crops"
    )
    with pytest.raises(DataError, match=message):
        list(ResumableLoader(dataset, EpochBatchSampler(3, 3), workers=workers))
    assert len(list(ResumableLoader(dataset, EpochBatchSampler(3, 1), workers=workers))) == 3


class StartsAThread:
    """While it lives, every process that multiprocessing forks begins with a thread, as wandb's do."""

    def __init__(self) -> None:
        register_after_fork(self, lambda _: threading.Thread(target=threading.Event().wait, daemon=True).start())


@pytest.mark.parametrize("library", [object, StartsAThread])
def test_workers_end_with_their_parent_and_not_with_the_group(loader, library) -> None:
    keeper = library()
    made = loader(2, True)
    batches = iter(made)
    for _ in range(2):  # one of each worker, so that both have started
        next(batches)
    workers = list(made._iterator._workers)
    for signal in ("INT", "TERM"):
        subprocess.run(["kill", f"-{signal}", *(str(worker.pid) for worker in workers)], check=True)
    time.sleep(0.3)
    assert all(worker.is_alive() for worker in workers)
    assert len(list(batches)) == 4
    for worker in workers:
        os.kill(worker.pid, 15)
        worker.join(5)
    assert not any(worker.is_alive() for worker in workers)
    assert keeper is not None
