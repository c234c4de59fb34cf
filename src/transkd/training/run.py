"""One training run, from a config to a scored and saved segmenter."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import lightning as L
import numpy as np
import torch
from rich.console import Console

from transkd.errors import ConfigError
from transkd.runs.folder import RunFolder
from transkd.training.build import build_data, build_module, image_size
from transkd.training.checks import import_own_modules
from transkd.training.config import TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.finish import finish
from transkd.training.preflight import print_preflight, run_facts
from transkd.training.resuming import find_resumption
from transkd.training.segmenters import RANDOM, RANDOM_TEACHER, weights_choice
from transkd.training.trainer import build_trainer, is_first_process, new_console, quiet_lightning, rewind_metrics


def train(values: Mapping[str, Any], *, console: Console | None = None) -> dict[str, Any]:
    """Run a training as a config says, and return what ``results.json`` then holds.

    Args:
        values: the composed config in plain containers.
        console: where to print; standard output by default.

    Raises:
        TransKDError: for everything that a user can fix, before the first step wherever it can be known then.
        StopRequestedError: a signal stopped the run; ``resume=auto`` resumes it.
    """
    import_own_modules(values)
    config = TrainConfig.validated(values)
    first = is_first_process()
    console = console or new_console(quiet=not first)
    quiet_lightning()
    folder = RunFolder(config.output)
    resumption = find_resumption(config.resume, folder, first)
    if resumption is not None:
        resumption.check_config(values)
    L.seed_everything(config.seed, workers=False, verbose=False)
    data = build_data(config)
    data.setup("fit")
    if resumption is not None:
        resumption.check_data_and_length(data, dict(config.trainer))
    module = build_module(config, data)
    with folder.claimed(values) if first else nullcontext():
        trainer = build_trainer(config, values, folder, data, console, resumption)
        checkpoint = resumption.path if resumption is not None else None
        if trainer.is_global_zero:
            if isinstance(module, DistillModule) and weights_choice(config.teacher) == RANDOM:
                warning = RANDOM_TEACHER.format(name=config.teacher.backbone)
                console.print(f"[bold red]WARNING: {warning}[/]", soft_wrap=True)
            print_preflight(module, image_size(data), run_facts(config, data, module, trainer, checkpoint), console)
        if isinstance(module, DistillModule):
            module.console = console
        _seed_process(config.seed + trainer.global_rank)
        rewind_metrics(trainer.loggers, resumption.step if resumption is not None else 0)
        if resumption is not None and trainer.is_global_zero:
            resumption.copy_best(folder)
        try:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"the device is out of memory: lower data.batch_size (it is {config.data.batch_size}) or data.size, or "
                f"set trainer.precision=bf16-mixed ({str(error).splitlines()[0]})"
            ) from error
        return finish(config, folder, trainer, data, module, console)


def _seed_process(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
