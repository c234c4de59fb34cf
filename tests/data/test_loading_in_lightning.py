"""Stopping and resuming a Lightning run at every place where a checkpoint may be taken."""

from __future__ import annotations

import warnings
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from transkd.data import SceneDataModule

PLACES = ("on_train_batch_end", "on_train_epoch_end", "on_validation_end")


class Recorder(pl.LightningModule):
    """Records (epoch, indices, first pixels) of every training batch."""

    def __init__(self, asks_for_length: bool = False) -> None:
        super().__init__()
        self.asks_for_length = asks_for_length
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple] = []
        self.validated: list[list[int]] = []

    def training_step(self, batch):
        self.seen.append((self.current_epoch, batch["index"].tolist(), batch["image"].sum().item()))
        return self.weight * batch["image"].float().mean()

    def validation_step(self, batch):
        self.validated.append(batch["index"].tolist())

    def configure_optimizers(self):
        if self.asks_for_length:  # makes the trainer create its loaders before it restores them
            assert self.trainer.estimated_stepping_batches == 9
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveEverywhere(pl.Callback):
    def __init__(self, folder: Path) -> None:
        self.saved: list[tuple[Path, int]] = []

        def save(trainer: pl.Trainer, module: Recorder, place: str) -> None:
            if not trainer.sanity_checking:
                path = folder / f"{len(self.saved):02d}_{place}.ckpt"
                trainer.save_checkpoint(path)
                self.saved.append((path, len(module.seen)))

        for place in PLACES:
            setattr(self, place, lambda trainer, module, *_, place=place, **__: save(trainer, module, place))


def run(
    data: SceneDataModule,
    *,
    callbacks=(),
    resume: Path | None = None,
    asks_for_length: bool = False,
    **options,
) -> Recorder:
    module = Recorder(asks_for_length)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=1,
        callbacks=list(callbacks),
        use_distributed_sampler=False,
        **({"max_epochs": 3} | options),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    return module


@pytest.mark.parametrize(
    ("workers", "persistent", "options"),
    [
        (0, False, {}),
        (0, False, {"limit_train_batches": 2}),
        (0, False, {"max_epochs": -1, "max_steps": 8}),
        (0, False, {"val_check_interval": 2}),
        (0, False, {"asks_for_length": True}),
        pytest.param(2, True, {"asks_for_length": True}, marks=pytest.mark.slow),
    ],
)
def test_resumed_runs_see_what_they_would_have_seen(
    make_camvid, tmp_path: Path, workers: int, persistent: bool, options: dict
) -> None:
    root = make_camvid(train=7, val=3)

    def data() -> SceneDataModule:
        return SceneDataModule(
            "camvid",
            root,
            size=24,
            augment="paper",
            batch_size=2,
            workers=workers,
            persistent_workers=persistent,
        )

    saver = SaveEverywhere(tmp_path)
    expected = run(data(), callbacks=[saver], **options).seen
    length = options.get("limit_train_batches", 3)
    assert [epoch for epoch, *_ in expected] == [i // length for i in range(len(expected))]
    assert len({str(sorted(indices)) for _, indices, _ in expected}) > 3
    assert {path.stem[3:] for path, _ in saver.saved} == set(PLACES)
    # Workers change the timing, not the places: with them, only those about the first epoch's end are tried.
    tried = saver.saved if workers == 0 else saver.saved[length - 2 : length + 3]
    for path, done in tried:
        if "max_steps" in options and path.stem.endswith("on_train_epoch_end"):
            continue  # Lightning 2.6 itself skips an epoch when it resumes such a checkpoint by steps
        resumed = run(data(), resume=path, **options).seen
        assert resumed == expected[done:], f"resumed from {path.name}"


def test_validation_sees_every_sample_every_time(make_camvid) -> None:
    data = SceneDataModule("camvid", make_camvid(train=4, val=5), size=24, batch_size=2, workers=0)
    module = run(data, max_epochs=2, limit_train_batches=1)
    assert module.validated[1:] == [[0, 1], [2, 3], [4]] * 2


def test_overfitting_repeats_its_batches(make_camvid) -> None:
    data = SceneDataModule("camvid", make_camvid(), size=24, augment="none", batch_size=2, workers=0)
    seen = run(data, overfit_batches=2).seen
    assert [indices for _, indices, _ in seen] == [[0, 1], [2, 3]] * 3
