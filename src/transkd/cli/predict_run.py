"""What ``transkd-predict`` does: inputs, models, predictions, files."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console

from transkd.cli.predict_config import PredictConfig
from transkd.cli.predict_models import load_predictors
from transkd.cli.predict_progress import Bars
from transkd.data.datasets.images import IMAGE_SUFFIXES
from transkd.data.reading import read_image
from transkd.errors import DataError, NonFiniteError
from transkd.evaluation.predict.clips import predict_clip
from transkd.evaluation.predict.outputs import Model
from transkd.evaluation.predict.plan import Job, Plan, plan_outputs
from transkd.evaluation.predict.sources import find_sources
from transkd.evaluation.predict.stills import predict_stills

MOST_LISTED = 20


@dataclass
class Done:
    """What was made.

    Attributes:
        pictures: how many were predicted and written.
        videos: the same of videos.
        frames: of these videos.
        failures: a line for each input that could not be predicted, or not to its end.
    """

    pictures: int = 0
    videos: int = 0
    frames: int = 0
    failures: list[str] = field(default_factory=list)


def run_predict(config: PredictConfig) -> None:
    """Predict what a config names, write the outputs, and say how many there are.

    Raises:
        ConfigError: before anything is computed, for all that cannot work.
        DataError: not everything could be predicted; what could is written.
        TransKDError: a model cannot be loaded.
    """
    notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    output = Path(config.output).expanduser()
    found = find_sources(config.input, IMAGE_SUFFIXES, leave_out=output)
    plan = plan_outputs(found.sources, output, config.kinds, config.when_existing)
    if not plan.jobs:
        print(f"nothing to do: all outputs for {_counted(plan.skipped, 'input')} are in {output} already")
        return
    model, second, chosen = load_predictors(config)
    left_out = [f"{_counted(found.others, 'file')} of other kinds left out"] if found.others else []
    for note in (*left_out, *chosen):
        notes.print(note)
    done = Done()
    start = time.perf_counter()
    with _stoppable(plan, done, notes):
        _predict(plan.jobs, model, second, done, notes)
    _tell(plan, done, output, time.perf_counter() - start)


def _predict(jobs: Sequence[Job], model: Model, second: Model | None, done: Done, notes: Console) -> None:
    stills = [job for job in jobs if not job.source.is_video]
    clips = [job for job in jobs if job.source.is_video]
    with Bars("images" if stills else "frames") as bars:
        if stills:
            bars.start("pictures", len(stills))

            def step() -> None:
                done.pictures += 1
                bars.update(done.pictures, len(stills))

            done.pictures = 0
            tally = predict_stills(stills, read_image, model, second, progress=step)
            done.pictures = tally.done
            done.failures += tally.failures
            if tally.enlarged:
                notes.print(
                    f"{_counted(tally.enlarged, 'picture')} of less than 32 pixels a side, enlarged for the model"
                )
        for job in clips:
            bars.start(job.source.path.name, None)
            try:
                clip = predict_clip(job, model, second, progress=bars.update)
            except (DataError, NonFiniteError) as error:
                done.failures.append(str(error))
                continue
            done.videos += 1
            done.frames += clip.frames
            done.failures += [clip.shortfall] if clip.shortfall else []
            for note in clip.notes:
                notes.print(note)


def _tell(plan: Plan, done: Done, output: Path, seconds: float) -> None:
    """Print what was made, in one line.

    Raises:
        DataError: listing what was not.
    """
    parts = [_counted(done.pictures, "picture")] if done.pictures or not done.videos else []
    if done.videos:
        parts.append(f"{_counted(done.videos, 'video')} ({_counted(done.frames, 'frame')})")
    kept = f"; {plan.skipped} were there already" if plan.skipped else ""
    rate = (done.pictures + done.frames) / max(seconds, 1e-9)
    unit = "frames/s" if done.videos and not done.pictures else "images/s"
    print(
        f"{' and '.join(parts)} predicted in {seconds:.1f} s ({rate:.3g} {unit}), written to {output}{kept}", flush=True
    )
    if done.failures:
        lines = [f"  {line}" for line in done.failures[:MOST_LISTED]]
        if len(done.failures) > MOST_LISTED:
            lines.append(f"  and {len(done.failures) - MOST_LISTED} more")
        head = f"{len(done.failures)} of {_counted(len(plan.jobs), 'input')} could not be predicted, or not to the end:"
        raise DataError("\n".join([head, *lines]))


@contextmanager
def _stoppable(plan: Plan, done: Done, notes: Console) -> Iterator[None]:
    """End with a line instead of a traceback on Ctrl-C, and in the same way where a scheduler says to stop."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = next(iter(interrupt.args), signal.SIGINT)
        finished = done.pictures + done.videos
        notes.print(
            f"transkd-predict: stopped after {finished} of {_counted(len(plan.jobs), 'input')}; all files that are "
            "there are whole, and the same command with existing=skip makes the others"
        )
        sys.exit(128 + int(number))
    finally:
        signal.signal(signal.SIGTERM, before)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
