"""What a finished run leaves: the chosen weights, scored again from the saved file, with their protocol."""

from __future__ import annotations

import math
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.trainer.states import TrainerStatus
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from transkd.data import SceneDataModule
from transkd.evaluation import Protocol, Scores, count_parameters, latency_ms, segmenter_gmacs
from transkd.evaluation.digest import module_digest
from transkd.models import load_segmenter
from transkd.runs.checkpoints import read_checkpoint
from transkd.runs.command import as_typed
from transkd.runs.folder import RunFolder
from transkd.runs.results import Results
from transkd.training.build import weights_choice
from transkd.training.callbacks.checkpoints import RunCheckpoints
from transkd.training.callbacks.clock import RunClock
from transkd.training.callbacks.ema import averaged_weights
from transkd.training.callbacks.first_gradients import FirstGradients
from transkd.training.callbacks.loss_time import LossTime
from transkd.training.config import DataConfig, TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.next_steps import next_steps
from transkd.training.preflight import loss_cost, taps_without_computing
from transkd.training.segmentation_module import SegmentationModule

Kind = TypeVar("Kind", bound=Callback)


def run_clock(trainer: L.Trainer) -> RunClock:
    """Return the clock of a run's trainer."""
    clock = _callback(trainer, RunClock)
    assert clock is not None
    return clock


def training_facts(trainer: L.Trainer) -> dict[str, Any]:
    """Return steps, epochs, pace, memory and the best validation of a training that has just ended."""
    keeper = _callback(trainer, RunCheckpoints)
    best = None
    if keeper is not None and keeper.best_score is not None:
        best = {"miou": keeper.best_score, "epoch": keeper.best_epoch}
    return {
        "steps": trainer.global_step,
        "epochs": _complete_epochs(trainer),
        **run_clock(trainer).facts(trainer),
        "precision": trainer.precision,
        "best_validation": best,
    }


def distillation_facts(trainer: L.Trainer, module: DistillModule, size: tuple[int, int]) -> dict[str, Any]:
    """Return what the losses cost and what their terms were in the first steps.

    Args:
        trainer: after training.
        module: what it trained.
        size: height and width of the image that GMAC are counted for.
    """
    time, first = _callback(trainer, LossTime), _callback(trainer, FirstGradients)
    shares = (time and time.facts) or {"teacher_share": None, "losses_share": None, "measured_steps": 0}
    return {
        "distillation_cost": {**adapter_facts(module, size), **shares},
        "first_steps": _without_nan(first.means) if first else {},
    }


def adapter_facts(module: DistillModule, size: tuple[int, int]) -> dict[str, Any]:
    """Return parameters of all losses' adapters, and the GMAC of comparing one image's taps."""
    losses = list(module.distillation_losses().values())
    with taps_without_computing(module.segmenter, module.teacher, losses, size) as (student, teacher):
        costs = [loss_cost(loss, student, teacher) for loss in losses]
    return {
        "adapter_parameters": sum(cost.parameters for cost in costs),
        "adapter_gmacs": sum(cost.macs.with_attention for cost in costs) / 1e9,
    }


def _complete_epochs(trainer: L.Trainer) -> int:
    """Return the epochs of which every batch was seen."""
    batches = trainer.num_training_batches
    seen = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return trainer.current_epoch - int(0 < seen < batches)


def _callback(trainer: L.Trainer, kind: type[Kind]) -> Kind | None:
    return next((c for c in trainer.callbacks if isinstance(c, kind)), None)  # type: ignore[attr-defined]


def _without_nan(terms: dict[str, dict[str, float | None]]) -> dict[str, dict[str, float | None]]:
    return {
        name: {key: value if value is not None and math.isfinite(value) else None for key, value in facts.items()}
        for name, facts in terms.items()
    }


def show_in_wandb(loggers: Iterable[Logger], results: Results) -> None:
    """Give W&B the scores of ``results.json``, as summary (``final/…``) and as a table of classes, and end the run.

    Without an end the next run of the same process would go on in this one.

    Args:
        loggers: of the run; those of others are left alone.
        results: what ``results.json`` holds.
    """
    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            continue
        import wandb

        run = logger.experiment
        values = results.as_dict()
        facts: dict[str, Any] = {name: value for name, value in values.items() if isinstance(value, int | float)}
        facts |= {"weights_sha256": results.weights_sha256}
        facts |= {f"training/{name}": value for name, value in values["training"].items()}
        run.summary.update({f"final/{name}": value for name, value in facts.items() if value is not None})
        classes = [[name, iou] for name, iou in results.per_class.items()]
        if classes:
            run.log({"final/per_class": wandb.Table(columns=["class", "IoU"], data=classes)})
        run.finish()


SEGMENTER = "segmenter."


def finish(
    config: TrainConfig,
    folder: RunFolder,
    trainer: L.Trainer,
    data: SceneDataModule,
    module: SegmentationModule,
    console: Console,
) -> dict[str, Any]:
    """Save the chosen weights, score the saved file, write ``results.json`` and say what to do next.

    Returns:
        What ``results.json`` holds (on the first process; the others return it without costs).
    """
    assert trainer.state.status == TrainerStatus.FINISHED
    size = _image_size(data)
    facts: dict[str, Any] = {"training": training_facts(trainer)}  # now: the scoring below is no part of it
    if isinstance(module, DistillModule):
        facts |= distillation_facts(trainer, module, size)
    chosen = folder.best if config.checkpoint.select == "best" and folder.best.exists() else folder.last
    epoch = _restore_chosen(module, chosen)
    name = "student" if isinstance(module, DistillModule) else "model"
    if trainer.is_global_zero:
        saved = folder.save_model(module.segmenter, name)
        module.segmenter.load_state_dict(load_segmenter(saved).state_dict())
    trainer.strategy.barrier("saved")
    module.last_scores = None
    module.is_final_scoring = True
    if trainer.num_val_batches != [0] and config.trainer.get("limit_val_batches") != 0:
        trainer.validate(module, datamodule=data, verbose=False, weights_only=True)
    facts["checkpoint"] = {"chosen": chosen.stem, "epoch": epoch}
    results = _results(config, data, module, trainer, size, facts)
    if trainer.is_global_zero:
        folder.write_results(results.as_dict())
        show_in_wandb(trainer.loggers, results)
        _print_results(results, folder, name, config.data, console)
    return results.as_dict()


def _restore_chosen(module: SegmentationModule, path: Path) -> int | None:
    if not path.exists():
        return None
    checkpoint = read_checkpoint(path)
    module.segmenter.load_state_dict(scored_weights(checkpoint))
    return int(checkpoint["epoch"])


def scored_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the segmenter's weights from a training checkpoint, the averaged ones where the run averaged."""
    for name, state in checkpoint.get("callbacks", {}).items():
        if name.startswith("StudentEMA") and state.get("average"):
            return averaged_weights(state)
    weights = checkpoint["state_dict"]
    return {key.removeprefix(SEGMENTER): value for key, value in weights.items() if key.startswith(SEGMENTER)}


def _image_size(data: SceneDataModule) -> tuple[int, int]:
    """Return height and width of the images that are scored."""
    image = data.val_dataset[0]["image"]
    return int(image.shape[-2]), int(image.shape[-1])


def _results(
    config: TrainConfig,
    data: SceneDataModule,
    module: SegmentationModule,
    trainer: L.Trainer,
    size: tuple[int, int],
    facts: Mapping[str, Any],
) -> Results:
    scores: Scores | None = module.last_scores
    limited = int(sum(trainer.num_val_batches)) < len(data.val_dataloader())
    protocol = Protocol(
        dataset=config.data.name,
        split=config.data.val_split,
        input_size=list(config.data.size) if isinstance(config.data.size, tuple) else config.data.size,
        resolution=config.objective.score_resolution,
        label_size=config.data.label_size,
        options=config.data.options,
        images=_scored_images(config, trainer) if limited else None,
    )
    values = {
        **(scores.as_dict() if scores else {"miou": None, "pixel_accuracy": None, "per_class": {}}),
        "protocol": protocol.as_dict(),
        "params": count_parameters(module.segmenter),
        "gmacs": segmenter_gmacs(module.segmenter, size),
        "latency_ms": latency_ms(module.segmenter, size) if trainer.is_global_zero else None,
        "image_size": list(size),
        "backbone": module.segmenter.config["backbone"],
        "distillation": config.distillation.name,
        "losses": {name: float(weight) for name, weight in module.loss_weights.items()},
        "teacher": weights_choice(config.teacher) if isinstance(module, DistillModule) else None,
        "weights_from": module.weights_from,
        "weights_sha256": module_digest(module.segmenter),
        "command": command_line(),
        "seed": config.seed,
        "data": data.fingerprints(),
        "device": torch.cuda.get_device_name() if module.device.type == "cuda" else f"cpu ({platform.machine()})",
        "versions": {name: version(name) for name in ("transkd", "torch", "lightning", "timm")},
        **facts,
    }
    return Results.model_validate(values)


def command_line() -> str | None:
    """Return the command that a shell would run this process by again, None outside transkd's commands.

    One that was started as a module, ``python -m transkd.cli.train``, as ``torchrun`` does, is called by its name.
    """
    path = Path(sys.argv[0])
    name = f"transkd-{path.stem}" if path.parts[-3:-1] == ("transkd", "cli") else path.name
    return shlex.join([name, *map(as_typed, sys.argv[1:])]) if name.startswith("transkd") else None


def _scored_images(config: TrainConfig, trainer: L.Trainer) -> int:
    return int(sum(trainer.num_val_batches)) * config.data.val_batch_size * trainer.world_size


def _print_results(results: Results, folder: RunFolder, name: str, data: DataConfig, console: Console) -> None:
    if results.miou is not None and results.pixel_accuracy is not None:
        split = results.protocol["split"]
        console.print(f"\nscores of {folder.path / name} on the {split} split", highlight=False, soft_wrap=True)
        table = Table()
        table.add_column("class")
        table.add_column("IoU", justify="right")
        for class_name, iou in results.per_class.items():
            table.add_row(escape(class_name), "absent" if iou is None else f"{100 * iou:.2f}")
        table.add_section()
        table.add_row("mIoU", f"{100 * results.miou:.2f}", style="bold")
        table.add_row("pixel accuracy", f"{100 * results.pixel_accuracy:.2f}")
        console.print(table)
    lines = [
        f"run folder   {folder.path}",
        f"segmenter    {folder.path / name}",
        *([f"pictures     {folder.predictions}"] if folder.predictions.is_dir() else []),
    ]
    steps = next_steps(folder.path / name, list(map(as_typed, sys.argv[1:])), data, is_student=name != "model")
    lines += [f"{'next' if step is steps[0] else '':<13}{step}" for step in steps]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
