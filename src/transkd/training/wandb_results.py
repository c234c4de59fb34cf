"""What a finished run shows in Weights & Biases beside its curves: the final scores, and the run's end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger

SUMMARY = ("miou", "pixel_accuracy", "params", "gmacs", "latency_ms", "weights_sha256")


def show_in_wandb(loggers: Iterable[Logger], results: Mapping[str, Any]) -> None:
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
        training = results.get("training") or {}
        facts = {name: results.get(name) for name in SUMMARY} | {f"training/{name}": v for name, v in training.items()}
        run.summary.update({f"final/{name}": value for name, value in facts.items() if value is not None})
        classes = [[name, iou] for name, iou in results["per_class"].items()]
        if classes:
            run.log({"final/per_class": wandb.Table(columns=["class", "IoU"], data=classes)})
        run.finish()
