"""Predictions of many pictures: read ahead, computed in batches of equal sizes, drawn and written beside that."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from transkd.errors import DataError, TransKDError
from transkd.evaluation.predict.files import FullError
from transkd.evaluation.predict.outputs import Model, ReadImage, see, write_outputs
from transkd.evaluation.predict.plan import Job
from transkd.evaluation.predict.read_ahead import Read, batches, fitting, read_ahead
from transkd.models.checks import SMALLEST_SIDE

SLOW_PIXELS = 2**22
"""More of them at once are worth a word: attention takes the square of a picture's size."""


@dataclass
class Tally:
    """What became of the sources.

    Attributes:
        done: how many were predicted and written.
        enlarged: how many were too small for a segmenter, and were enlarged for it.
        failures: a line for each that could not be.
    """

    done: int = 0
    enlarged: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Watcher:
    """Who is told meanwhile.

    Attributes:
        step: called after each picture.
        note: called with what a person should know before all is done.
    """

    step: Callable[[], None] = lambda: None
    note: Callable[[str], None] = lambda _: None


Writing = deque[tuple[Job, Future[None]]]


def predict_stills(
    jobs: Sequence[Job],
    read_image: ReadImage,
    model: Model,
    second: Model | None = None,
    *,
    tally: Tally | None = None,
    workers: int = 2,
    watcher: Watcher | None = None,
) -> Tally:
    """Predict pictures and write their outputs; one that cannot be read or written does not stop the others.

    Args:
        jobs: pictures and their outputs.
        read_image: from a path to (H, W, 3) uint8; raises ``DataError``.
        model: the segmenter.
        second: another one, for comparisons.
        tally: what is counted in and returned, for whoever wants to know it where all is stopped.
        workers: threads that read, draw and write.
        watcher: who is told meanwhile.

    Raises:
        FullError: nothing more can be written.
    """
    tally, watcher = tally or Tally(), watcher or Watcher()
    models = [each for each in (model, second) if each]
    batch_size, writing = model.network.batch_size, Writing()
    with ThreadPoolExecutor(workers) as pool:
        try:
            reads = read_ahead(pool, jobs, read_image, models, 2 * batch_size + workers)
            for batch in batches(_readable(reads, model, tally, watcher), batch_size):
                for read, seen in zip(batch, see([read.image for read in batch], model, second), strict=True):
                    if isinstance(seen, TransKDError):
                        tally.failures.append(f"{read.job.source.path}: {seen}")
                        watcher.step()
                        continue
                    writing.append((read.job, pool.submit(write_outputs, seen, read.job.outputs, model, second)))
                    tally.enlarged += min(read.image.shape[:2]) < SMALLEST_SIDE
                _settle(writing, tally, watcher, fitting(2 * batch_size, batch[0].pixels))
            _settle(writing, tally, watcher, 0)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return tally


def _readable(reads: Iterable[Read | DataError], model: Model, tally: Tally, watcher: Watcher) -> Iterator[Read]:
    """Pass on what could be read, and say once where a picture takes long."""
    told = not model.network.views.is_plain
    for read in reads:
        if isinstance(read, DataError):
            tally.failures.append(str(read))
            watcher.step()
            continue
        height, width = read.sizes[0]
        if not told and height * width > SLOW_PIXELS:
            told = True
            watcher.note(
                f"{read.job.source.path}: the model sees {height}x{width} pixels at once, which takes long; "
                "inference=slide crop=[512,512] looks through windows, a smaller size= at fewer pixels"
            )
        yield read


def _settle(writing: Writing, tally: Tally, watcher: Watcher, most: int) -> None:
    """Wait until no more than ``most`` pictures are being written."""
    while writing and (len(writing) > most or writing[0][1].done()):
        job, written = writing.popleft()
        try:
            written.result()
            tally.done += 1
        except FullError:
            raise
        except DataError as error:
            tally.failures.append(f"{job.source.path}: {error}")
        watcher.step()
