"""The end of a run: the chosen weights are saved, scored again from the saved file, and reported."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from typing import Any, TypeVar

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerStatus
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from transkd.data import SceneDataModule
from transkd.evaluation import Protocol, count_parameters, latency_ms, segmenter_gmacs
from transkd.evaluation.comparison import module_digest
from transkd.models import load_segmenter
from transkd.models.formats.published import checkpoint_weights
from transkd.runs.checkpoints import read_checkpoint
from transkd.runs.command import as_typed, command_line, next_steps
from transkd.runs.folder import RunFolder
from transkd.runs.results import Results
from transkd.training.callbacks.checkpoints import RunCheckpoints
from transkd.training.callbacks.losses import FirstGradients, LossTime
from transkd.training.callbacks.timing import RunClock
from transkd.training.config import TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.preflight import total_cost
from transkd.training.segmentation_module import SegmentationModule
from transkd.training.segmenters import weights_choice
from transkd.training.trainer import log_to_wandb

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
    image = data.val_dataset[0]["image"]
    size = (int(image.shape[-2]), int(image.shape[-1]))
    training = _training_facts(trainer)  # before the scoring below, which is not part of it
    if training["stopped_by"] == "time":
        total = trainer.estimated_stepping_batches
        console.print(
            f"stopped by trainer.max_time after step {trainer.global_step} of {total:.0f}: schedules span all "
            f"{total:.0f}, so the learning rate and the losses' weights stopped on their way. As many steps with "
            f"complete schedules: trainer.max_steps={trainer.global_step}",
            soft_wrap=True,
        )
    distillation: dict[str, Any] = {}
    if isinstance(module, DistillModule) and module.losses:
        cost = {**adapter_facts(module, size), **_callback(trainer, LossTime).shares}
        distillation = {"distillation_cost": cost, "first_steps": _callback(trainer, FirstGradients).means}
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


def _callback(trainer: L.Trainer, kind: type[Kind]) -> Kind:
    return next(c for c in trainer.callbacks if isinstance(c, kind))  # type: ignore[attr-defined]


def _training_facts(trainer: L.Trainer) -> dict[str, Any]:
    """Return steps, epochs, pace, memory and the best validation of a training that has just ended."""
    keeper = _callback(trainer, RunCheckpoints)
    seen = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    cut_short = 0 < seen < trainer.num_training_batches
    return {
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch - int(cut_short),
        **_callback(trainer, RunClock).facts(trainer),
        "precision": trainer.precision,
        "best_validation": None
        if keeper.best_score is None
        else {"miou": keeper.best_score, "epoch": keeper.best_epoch},
    }


def adapter_facts(module: DistillModule, size: tuple[int, int]) -> dict[str, Any]:
    """Return parameters of all losses' adapters, and the GMAC of comparing the taps of an image of this size."""
    cost = total_cost(module.distillation_losses().values(), module.segmenter, module.teacher, size)
    return {"adapter_parameters": cost.parameters, "adapter_gmacs": cost.macs.with_attention / 1e9}


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
    lines = [f"run folder   {folder.path}", f"segmenter    {saved}"]
    if folder.predictions.is_dir():
        lines.append(f"pictures     {folder.predictions}")
    arguments = [as_typed(argument) for argument in sys.argv[1:]]
    steps = next_steps(saved, arguments, config.data.model_dump(), is_student=name == "student")
    lines += [f"{'next' if number == 0 else '':<13}{step}" for number, step in enumerate(steps)]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
