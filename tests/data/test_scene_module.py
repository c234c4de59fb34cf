from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from transkd.data import CAMVID, SceneDataModule
from transkd.data.module import other_data
from transkd.errors import ConfigError, DataError


def make(root: Path, **options) -> SceneDataModule:
    return SceneDataModule("camvid", root, **({"size": 24, "batch_size": 2, "workers": 0} | options))


def test_batches(make_camvid) -> None:
    data = make(make_camvid(), augment="standard", augment_options={"crop": [32, 40]}, val_batch_size=3)
    data.setup("fit")
    train, val = list(data.train_dataloader()), list(data.val_dataloader())
    assert [tuple(batch["image"].shape) for batch in train] == [(2, 3, 32, 40)] * 3
    assert [tuple(batch["image"].shape) for batch in val] == [(3, 3, 24, 32), (2, 3, 24, 32)]
    assert torch.cat([batch["index"] for batch in val]).tolist() == list(range(5))
    assert data.classes is CAMVID
    assert (len(data.train_dataset), len(data.val_dataset)) == (7, 5)


def test_validation_sizes(make_camvid) -> None:
    root = make_camvid()

    def shapes(**options) -> tuple[tuple, tuple]:
        batch = next(iter(make(root, **options).val_dataloader()))
        return tuple(batch["image"].shape[-2:]), tuple(batch["label"].shape[-2:])

    assert shapes(size=12) == ((12, 16), (12, 16))
    assert shapes(size=12, label_size="own") == ((12, 16), (24, 32))
    assert shapes(size=12, val_size="native") == ((24, 32), (24, 32))
    assert shapes(size=[12, 20]) == ((12, 20), (12, 20))


def test_the_seed_decides_order_and_augmentation(make_camvid) -> None:
    root = make_camvid()

    def epoch(**options) -> list:
        batches = make(root, augment="paper", **options).train_dataloader()
        return [(batch["index"].tolist(), batch["image"].sum().item()) for batch in batches]

    assert epoch(seed=1) == epoch(seed=1) != epoch(seed=2)
    assert [indices for indices, _ in epoch(shuffle=False)] == [[0, 1], [2, 3], [4, 5]]


def test_processes_share_validation(make_camvid) -> None:
    root = make_camvid(val=5)
    seen, ignored = [], 0
    for rank in range(2):
        data = make(root)
        data.trainer = SimpleNamespace(world_size=2, global_rank=rank)
        batches = list(data.val_dataloader())
        assert len(batches) == 2
        for batch in batches:
            blank = (batch["label"] == 255).flatten(1).all(1)
            seen += batch["index"][~blank].tolist()
            ignored += int(blank.sum())
    assert (sorted(seen), ignored) == (list(range(5)), 1)


def test_a_trainer_that_would_replace_the_samplers(make_camvid) -> None:
    data = make(make_camvid())
    connector = SimpleNamespace(use_distributed_sampler=True)
    data.trainer = SimpleNamespace(world_size=2, global_rank=0, _accelerator_connector=connector)
    with pytest.raises(ConfigError, match="give the trainer use_distributed_sampler=False"):
        data.setup("fit")


def test_setup_finds_what_is_wrong(make_camvid) -> None:
    root = make_camvid(train=3)
    with pytest.raises(DataError, match="3 samples do not fill one batch of 4"):
        make(root, batch_size=4).setup("fit")
    make(root, batch_size=4).setup("validate")
    first = sorted((root / "valannot").iterdir())[0]
    first.write_bytes(first.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"{first.name}: cannot read this label"):
        make(root).setup("fit")
    with pytest.raises(DataError, match="does not exist"):
        make(root / "gone").setup()


def test_fingerprints_know_files_and_not_roots(make_camvid) -> None:
    root = make_camvid(val=2)
    listed = sorted(str(path.relative_to(root)) for folder in ("val", "valannot") for path in (root / folder).iterdir())
    sized = "\n".join(f"{name} {(root / name).stat().st_size}" for name in listed)
    expected = {
        "count": 2,
        "sha256": hashlib.sha256("\n".join(listed).encode()).hexdigest(),
        "content": hashlib.sha256(sized.encode()).hexdigest(),
    }
    assert make(root).fingerprint("val") == expected
    moved = root.rename(root.with_name("moved"))
    assert make(moved).fingerprint("val") == expected
    assert other_data(expected, make(moved).fingerprints()) is None
    with (moved / listed[-1]).open("ab") as file:
        file.write(b"more")
    assert make(moved).fingerprint("val")["sha256"] == expected["sha256"]
    assert other_data(expected, make(moved).fingerprints()) == "the validation split has other files"
    for name in (listed[0], listed[2]):
        (moved / name).unlink()
    assert other_data(expected, make(moved).fingerprints()) == "the validation split has 1 scenes, not 2"
    older = {key: expected[key] for key in ("count", "sha256")}
    assert other_data(older | {"train": {"count": 99}}, make(moved).fingerprints()) is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "kamvid"}, "no dataset 'kamvid': did you mean 'camvid'"),
        ({"augment": "standart"}, "did you mean 'standard'"),
        ({"augment_options": {"flips": 1}}, "flips: there is no such key; did you mean 'flip'"),
        ({"size": "large"}, "size='large' is no size"),
        ({"label_size": "full"}, "label_size='full'"),
        ({"batch_size": 0}, "batch_size=0: give 1 or more"),
        ({"seed": -1}, "seed=-1: give 0 or more"),
    ],
)
def test_values_that_make_no_sense(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SceneDataModule(**({"name": "camvid", "root": "anywhere"} | options))
