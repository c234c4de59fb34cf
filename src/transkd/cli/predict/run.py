"""What ``transkd-predict`` does: inputs, models, predictions, files."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from PIL import Image
from rich.console import Console
from rich.progress import TaskID

from transkd.cli.predict.config import PredictConfig
from transkd.cli.predict.models import load_predictors
from transkd.cli.progress import counting, screen
from transkd.data.datasets.images import IMAGE_SUFFIXES
from transkd.data.reading import read_image
from transkd.errors import DataError, TransKDError
from transkd.options import SMALLEST_SIDE
from transkd.prediction.outputs import Model
from transkd.prediction.plan import Job, find_sources, plan_outputs
from transkd.prediction.stills import Tally, predict_stills
from transkd.prediction.videos import predict_clip

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

    def listing(self, inputs: int) -> str:
        """Return a text that lists the inputs that could not be predicted to the end; empty for none."""
        failures = [*self.stills.failures, *self.failures]
        if not failures:
            return ""
        more = [f"  and {len(failures) - MOST_LISTED} more"] if len(failures) > MOST_LISTED else []
        head = f"{len(failures)} of {counted(inputs, 'input')} could not be predicted, or not to the end:"
        return "\n".join([head, *(f"  {printable(line)}" for line in failures[:MOST_LISTED]), *more])


def run_predict(config: PredictConfig) -> None:
    """Predict what a config names, write the outputs, and print how many there are.

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
    sources, others = find_sources(config.input, IMAGE_SUFFIXES, leave_out=output)
    jobs = plan_outputs(sources, output, config.kinds, config.when_existing)
    skipped = len(sources) - len(jobs)
    if not jobs:
        print(f"nothing to do: all outputs for {counted(skipped, 'input')} are in {output} already")
        return
    models, chosen = load_predictors(config)
    if others:
        notes.print(f"{counted(others, 'file')} of other kinds left out")
    for note in chosen:
        notes.print(printable(note))
    done, start = Done(), time.perf_counter()
    with stoppable(len(jobs), done, notes):
        predict(jobs, models, done, notes)
    pictures, seconds = done.stills.done, time.perf_counter() - start
    parts = [counted(pictures, "picture")] if pictures or not done.videos else []
    if done.videos:
        parts.append(f"{counted(done.videos, 'video')} ({counted(done.frames, 'frame')})")
    rate = (pictures + done.frames) / max(seconds, 1e-9)
    unit = "frames/s" if done.videos and not pictures else "images/s"
    kept = f"; {skipped} were there already" if skipped else ""
    if pictures or done.videos or skipped:
        print(f"{' and '.join(parts)} predicted in {seconds:.1f} s ({rate:.3g} {unit}), written to {output}{kept}")
    if failed := done.listing(len(jobs)):
        raise DataError(failed)


def predict(jobs: Sequence[Job], models: Sequence[Model], done: Done, notes: Console) -> None:
    """Predict pictures, then videos, with a progress bar; what fails is counted in ``done``."""
    stills = [job for job in jobs if not job.source.is_video]
    with counting(screen()) as bars:
        if stills:
            task = bars.add_task("pictures", total=len(stills), unit="images")
            predict_stills(stills, read_image, models, tally=done.stills, progress=lambda: bars.advance(task))
            bars.remove_task(task)
            if done.stills.enlarged:
                notes.print(
                    f"{counted(done.stills.enlarged, 'picture')} of less than {SMALLEST_SIDE} pixels a side, "
                    "enlarged for the model"
                )
        for job in jobs:
            if not job.source.is_video:
                continue
            task = bars.add_task(printable(job.source.path.name), total=None, unit="frames")

            def show(frames: int, expected: int, task: TaskID = task) -> None:
                bars.update(task, completed=frames, total=expected or None)

            try:
                clip = predict_clip(job, models, progress=show)
            except TransKDError as error:
                done.failures.append(str(error))
            else:
                done.videos += 1
                done.frames += clip.frames
                done.failures += [clip.shortfall] if clip.shortfall else []
                for note in clip.notes:
                    notes.print(printable(note))
            bars.remove_task(task)


@contextmanager
def stoppable(inputs: int, done: Done, notes: Console) -> Iterator[None]:
    """End with a line instead of a traceback on Ctrl-C, SIGTERM and a closed terminal."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    handled = [number for number in STOPS if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores the terminal's
    before = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = next(iter(interrupt.args), signal.SIGINT)
        if failed := done.listing(inputs):
            notes.print(failed)
        notes.print(
            f"transkd-predict: stopped after {done.stills.done + done.videos} of {counted(inputs, 'input')}; "
            "all files that are there are whole, and the same command with existing=skip makes the others"
        )
        sys.exit(128 + int(number))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def printable(text: str) -> str:
    """Return text in one line as a terminal shows it: names of files can hold line breaks and control characters."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def counted(count: int, what: str) -> str:
    """Return a number of things: ``2 pictures``."""
    return f"{count} {what}{'' if count == 1 else 's'}"
