"""What ``transkd-predict`` does: inputs, models, predictions, files."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from PIL import Image
from rich.console import Console

from transkd.cli.predict_config import PredictConfig
from transkd.cli.predict_models import load_predictors
from transkd.cli.predict_progress import Bars
from transkd.data.datasets.images import IMAGE_SUFFIXES
from transkd.data.reading import read_image
from transkd.errors import DataError, TransKDError
from transkd.options import SMALLEST_SIDE
from transkd.prediction.clips import predict_clip
from transkd.prediction.outputs import Model
from transkd.prediction.plan import FullError, Job, Plan, find_sources, plan_outputs
from transkd.prediction.stills import Tally, Watcher, predict_stills

MOST_LISTED = 20
STOPS = (signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGTERM,)


@dataclass
class Done:
    """What was made.

    Attributes:
        stills: what became of the pictures.
        videos: how many videos were predicted and written.
        frames: of these videos.
        failures: a line for each video that could not be predicted, or not to its end.
    """

    stills: Tally = field(default_factory=Tally)
    videos: int = 0
    frames: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def all_failures(self) -> list[str]:
        """A line for each input that could not be predicted, or not to its end."""
        return [*self.stills.failures, *self.failures]


def run_predict(config: PredictConfig) -> None:
    """Predict what a config names, write the outputs, and say how many there are.

    Raises:
        ConfigError: before anything is computed, for all that cannot work.
        DataError: not everything could be predicted; what could is written.
        TransKDError: a model cannot be loaded.
    """
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # what is too large is an error
    notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    output = Path(os.path.expanduser(config.output))  # noqa: PTH111 - an unknown user stays as it is
    found = find_sources(config.input, IMAGE_SUFFIXES, leave_out=output)
    plan = plan_outputs(found.sources, output, config.kinds, config.when_existing)
    if not plan.jobs:
        _print(f"nothing to do: all outputs for {_counted(plan.skipped, 'input')} are in {output} already")
        return
    model, second, chosen = load_predictors(config)
    left_out = [f"{_counted(found.others, 'file')} of other kinds left out"] if found.others else []
    for note in (*left_out, *chosen):
        notes.print(printable(note))
    done = Done()
    start = time.perf_counter()
    with _stoppable(plan, done, notes):
        _predict(plan.jobs, model, second, done, notes)
    _tell(plan, done, output, time.perf_counter() - start)


def _predict(jobs: Sequence[Job], model: Model, second: Model | None, done: Done, notes: Console) -> None:
    stills = [job for job in jobs if not job.source.is_video]
    clips = [job for job in jobs if job.source.is_video]
    with Bars() as bars:
        if stills:
            bars.start("pictures", len(stills), "images")
            watcher = Watcher(step=bars.advance, note=lambda text: notes.print(printable(text)))
            predict_stills(stills, read_image, model, second, tally=done.stills, watcher=watcher)
            if done.stills.enlarged:
                notes.print(
                    f"{_counted(done.stills.enlarged, 'picture')} of less than {SMALLEST_SIDE} pixels a side, "
                    "enlarged for the model"
                )
        for job in clips:
            bars.start(printable(job.source.path.name), None, "frames")
            try:
                clip = predict_clip(job, model, second, progress=bars.update)
            except FullError:
                raise
            except TransKDError as error:
                done.failures.append(str(error))
                continue
            done.videos += 1
            done.frames += clip.frames
            done.failures += [clip.shortfall] if clip.shortfall else []
            for note in clip.notes:
                notes.print(printable(note))


def _tell(plan: Plan, done: Done, output: Path, seconds: float) -> None:
    """Print what was made, in one line.

    Raises:
        DataError: listing what was not.
    """
    pictures = done.stills.done
    parts = [_counted(pictures, "picture")] if pictures or not done.videos else []
    if done.videos:
        parts.append(f"{_counted(done.videos, 'video')} ({_counted(done.frames, 'frame')})")
    kept = f"; {plan.skipped} were there already" if plan.skipped else ""
    rate = (pictures + done.frames) / max(seconds, 1e-9)
    unit = "frames/s" if done.videos and not pictures else "images/s"
    line = f"{' and '.join(parts)} predicted in {seconds:.1f} s ({rate:.3g} {unit}), written to {output}{kept}"
    if pictures or done.videos or plan.skipped:
        _print(line)
    if done.all_failures:
        raise DataError(_listing(done, len(plan.jobs)))


def _listing(done: Done, inputs: int) -> str:
    failures = done.all_failures
    lines = [f"  {printable(line)}" for line in failures[:MOST_LISTED]]
    if len(failures) > MOST_LISTED:
        lines.append(f"  and {len(failures) - MOST_LISTED} more")
    head = f"{len(failures)} of {_counted(inputs, 'input')} could not be predicted, or not to the end:"
    return "\n".join([head, *lines])


def _print(line: str) -> None:
    """Print a line to standard output, where anybody still reads it."""
    with suppress(BrokenPipeError):
        print(printable(line), flush=True)
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains once more at its end


def printable(text: str) -> str:
    """Return text as a terminal shows it in one line: names of files can hold line breaks and control characters."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


@contextmanager
def _stoppable(plan: Plan, done: Done, notes: Console) -> Iterator[None]:
    """End with a line instead of a traceback on Ctrl-C, and where a scheduler or a closed terminal says to stop."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    heeded = [number for number in STOPS if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores the terminal's
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = next(iter(interrupt.args), signal.SIGINT)
        finished = done.stills.done + done.videos
        if done.all_failures:
            notes.print(_listing(done, len(plan.jobs)))
        notes.print(
            f"transkd-predict: stopped after {finished} of {_counted(len(plan.jobs), 'input')}; all files that are "
            "there are whole, and the same command with existing=skip makes the others"
        )
        sys.exit(128 + int(number))
    except FullError as error:
        finished = done.stills.done + done.videos
        failures = f"\n{_listing(done, len(plan.jobs))}" if done.all_failures else ""
        raise DataError(
            f"{error}: stopped after {finished} of {_counted(len(plan.jobs), 'input')}; all files that are there are "
            f"whole, and once there is room the same command with existing=skip makes the others{failures}"
        ) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
