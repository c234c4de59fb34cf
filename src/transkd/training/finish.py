"""The end of a run: the chosen weights are saved, scored again from the saved file, and reported."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, TypeVar

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.trainer.states import TrainerStatus
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from transkd.data import SceneDataModule
from transkd.evaluation import Protocol, count_parameters, latency_ms, segmenter_gmacs
from transkd.evaluation.digest import module_digest
from transkd.models import load_segmenter
from transkd.models.formats.checkpoint import checkpoint_weights
from transkd.runs.checkpoints import read_checkpoint
from transkd.runs.command import as_typed, command_line, next_steps
from transkd.runs.folder import RunFolder
from transkd.runs.results import Results
from transkd.training.callbacks import FirstGradients, LossTime, RunCheckpoints, RunClock
from transkd.training.config import TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.preflight import loss_cost, taps_without_computing
from transkd.training.segmentation_module import SegmentationModule
from transkd.training.segmenters import weights_choice

NOT_SCORED: dict[str, Any] = {"miou": None, "pixel_accuracy": None, "per_class": {}}
Kind = TypeVar("Kind", bound=Callback)


def finish(
    config: TrainConfig,
    folder: RunFolder,
    trainer: L.Trainer,
    data: SceneDataModule,
    module: SegmentationModule,
    console: Console,
) -> dict[str, Any]:
    """Save the chosen weights, score the saved file, write ``results.json`` and print what to do next.

    Returns:
        What ``results.json`` holds (on the first process; the others return it without latency).
    """
    assert trainer.state.status == TrainerStatus.FINISHED
    _explain_time_limit(trainer, console)
    image = data.val_dataset[0]["image"]
    size = (int(image.shape[-2]), int(image.shape[-1]))
    training = training_facts(trainer)  # before the scoring below, which is not part of it
    distillation = distillation_facts(trainer, module, size) if isinstance(module, DistillModule) else {}
    chosen = folder.best if config.checkpoint.select == "best" and folder.best.exists() else folder.last
    checkpoint = read_checkpoint(chosen) if chosen.exists() else None
    if checkpoint is not None:
        module.segmenter.load_state_dict(checkpoint_weights(checkpoint))
    name = "student" if isinstance(module, DistillModule) else "model"
    if trainer.is_global_zero:
        saved = folder.save_model(module.segmenter, name)
        module.segmenter.load_state_dict(load_segmenter(saved).state_dict())
    trainer.strategy.barrier("saved")
    module.last_scores = None
    module.is_final_scoring = True
    if trainer.num_val_batches != [0] and config.trainer.get("limit_val_batches") != 0:
        trainer.validate(module, datamodule=data, verbose=False, weights_only=True)
    results = Results.model_validate(
        {
            **(module.last_scores.as_dict() if module.last_scores else NOT_SCORED),
            "protocol": _protocol(config, data, trainer).as_dict(),
            "params": count_parameters(module.segmenter),
            "gmacs": segmenter_gmacs(module.segmenter, size),
            "latency_ms": latency_ms(module.segmenter, size) if trainer.is_global_zero else None,
            "image_size": size,
            "backbone": module.segmenter.config["backbone"],
            "distillation": config.distillation.name,
            "losses": module.loss_weights,
            "teacher": weights_choice(config.teacher) if isinstance(module, DistillModule) else None,
            "weights_from": module.weights_from,
            "weights_sha256": module_digest(module.segmenter),
            "command": command_line(),
            "seed": config.seed,
            "data": data.fingerprints(),
            "device": torch.cuda.get_device_name() if module.device.type == "cuda" else f"cpu ({platform.machine()})",
            "versions": {name: version(name) for name in ("transkd", "torch", "lightning", "timm")},
            "checkpoint": {"chosen": chosen.stem, "epoch": None if checkpoint is None else checkpoint["epoch"]},
            "training": training,
            **distillation,
        }
    )
    if trainer.is_global_zero:
        folder.write_results(results.as_dict())
        log_to_wandb(trainer.loggers, results)
        _print_results(results, folder, name, config, console)
    return results.as_dict()


def training_facts(trainer: L.Trainer) -> dict[str, Any]:
    """Return steps, epochs, pace, memory and the best validation of a training that has just ended."""
    keeper, clock = _callback(trainer, RunCheckpoints), _callback(trainer, RunClock)
    best = None
    if keeper is not None and keeper.best_score is not None:
        best = {"miou": keeper.best_score, "epoch": keeper.best_epoch}
    seen = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return {
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch
        - int(0 < seen < trainer.num_training_batches),  # of which all batches were seen
        **(clock.facts(trainer) if clock else {}),
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
    terms = first.means if first else {}
    return {
        "distillation_cost": {**adapter_facts(module, size), **shares},
        "first_steps": {
            name: {key: value if value is not None and math.isfinite(value) else None for key, value in term.items()}
            for name, term in terms.items()
        },
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


def log_to_wandb(loggers: Iterable[Logger], results: Results) -> None:
    """Give W&B the results, numbers as summary (``final/…``) and classes as a table, and end the run.

    Without an end the next run of the same process would continue this one.

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
        facts = {name: value for name, value in values.items() if isinstance(value, int | float)}
        facts |= {f"training/{name}": value for name, value in values["training"].items() if value is not None}
        run.summary.update({f"final/{name}": value for name, value in facts.items()})
        run.summary["final/weights_sha256"] = results.weights_sha256
        if results.per_class:
            classes = [[name, iou] for name, iou in results.per_class.items()]
            run.log({"final/per_class": wandb.Table(columns=["class", "IoU"], data=classes)})
        run.finish()


def _callback(trainer: L.Trainer, kind: type[Kind]) -> Kind | None:
    return next((c for c in trainer.callbacks if isinstance(c, kind)), None)  # type: ignore[attr-defined]


def _explain_time_limit(trainer: L.Trainer, console: Console) -> None:
    """Print what it means that ``trainer.max_time`` ended the run: no schedule came to its end."""
    clock, total = _callback(trainer, RunClock), trainer.estimated_stepping_batches
    if clock is not None and clock.stopped_by(trainer) == "time":
        console.print(
            f"stopped by trainer.max_time after step {trainer.global_step} of {total:.0f}: schedules span all "
            f"{total:.0f}, so the learning rate and the losses' weights stopped on their way. As many steps with "
            f"complete schedules: trainer.max_steps={trainer.global_step}",
            soft_wrap=True,
        )


def _protocol(config: TrainConfig, data: SceneDataModule, trainer: L.Trainer) -> Protocol:
    batches = int(sum(trainer.num_val_batches))
    limited = batches < len(data.val_dataloader())
    return Protocol(
        dataset=config.data.name,
        split=config.data.val_split,
        input_size=list(config.data.size) if isinstance(config.data.size, tuple) else config.data.size,
        resolution=config.objective.score_resolution,
        label_size=config.data.label_size,
        options=config.data.options,
        images=batches * config.data.val_batch_size * trainer.world_size if limited else None,
    )


def _print_results(results: Results, folder: RunFolder, name: str, config: TrainConfig, console: Console) -> None:
    saved = folder.path / name
    if results.miou is not None and results.pixel_accuracy is not None:
        title = f"\nscores of {saved} on the {config.data.val_split} split"
        console.print(title, highlight=False, markup=False, soft_wrap=True)
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
        f"segmenter    {saved}",
        *([f"pictures     {folder.predictions}"] if folder.predictions.is_dir() else []),
    ]
    arguments = [as_typed(argument) for argument in sys.argv[1:]]
    steps = next_steps(saved, arguments, config.data.model_dump(), is_student=name == "student")
    lines += [f"{'next' if number == 0 else '':<13}{step}" for number, step in enumerate(steps)]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
