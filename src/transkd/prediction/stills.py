"""Predictions of many pictures: read ahead, computed in batches of equal sizes, drawn and written beside that."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from transkd.errors import DataError, TransKDError
from transkd.evaluation.pictures import Pixels
from transkd.options import SMALLEST_SIDE
from transkd.prediction.outputs import Model, ReadImage, see, write_outputs
from transkd.prediction.plan import FullError, Job

WAITING_BATCHES = 3
"""Pictures of rare sizes wait for others of their size while no more than so many batches wait altogether."""
HELD_PIXELS = 2**26
"""Pictures of more pixels altogether do not wait: 200 MB, four times 16 megapixels."""


@dataclass(frozen=True)
class Read:
    """A picture that was read.

    Attributes:
        job: what it is for.
        image: (H, W, 3).
        sizes: height and width that each segmenter sees it at.
    """

    job: Job
    image: Pixels
    sizes: tuple[tuple[int, int], ...]

    @property
    def pixels(self) -> int:
        """How many it has."""
        height, width = self.image.shape[:2]
        return int(height * width)


def fitting(most: int, pixels: int) -> int:
    """Return how many pictures of so many pixels may wait, 1 to ``most``."""
    return max(1, min(most, HELD_PIXELS // max(1, pixels)))


def read_ahead(
    pool: ThreadPoolExecutor, jobs: Iterable[Job], read_image: ReadImage, models: Iterable[Model], depth: int
) -> Iterator[Read | DataError]:
    """Yield each job's picture, or what is wrong with it, in order.

    Args:
        pool: threads that read.
        jobs: what pictures are for.
        read_image: from a path to (H, W, 3) uint8; raises ``DataError``.
        models: what sees them.
        depth: pictures are read up to so many jobs before their turn; fewer where they are large.
    """
    models = tuple(models)
    waiting: deque[Future[Read | DataError]] = deque()
    room = 1
    for job in jobs:
        waiting.append(pool.submit(_read, job, read_image, models))
        while len(waiting) > room:
            read = waiting.popleft().result()
            room = fitting(depth, read.pixels) if isinstance(read, Read) else room
            yield read
    while waiting:
        yield waiting.popleft().result()


def _read(job: Job, read_image: ReadImage, models: Iterable[Model]) -> Read | DataError:
    path = job.source.path
    if os.path.exists(path) and not path.is_file():  # noqa: PTH110 - reading a pipe would wait for a writer
        return DataError(f"{path}: this is {'a folder' if path.is_dir() else 'no regular file'}, not a picture.")
    try:
        image = read_image(path)
    except DataError as error:
        return error
    try:
        return Read(job, image, tuple(model.network.sees(image) for model in models))
    except DataError as error:
        return DataError(f"{path}: {error}")


def batches(reads: Iterable[Read], batch_size: int) -> Iterator[list[Read]]:
    """Yield batches of pictures of one size for each segmenter."""
    waiting: defaultdict[tuple[tuple[int, int], ...], list[Read]] = defaultdict(list)
    for read in reads:
        same = waiting[read.sizes]
        same.append(read)
        held = [one for group in waiting.values() for one in group]
        if len(same) == batch_size:
            yield waiting.pop(read.sizes)
        elif len(held) > WAITING_BATCHES * batch_size or sum(one.pixels for one in held) > HELD_PIXELS:
            yield waiting.pop(max(waiting, key=lambda sizes: len(waiting[sizes])))
    yield from waiting.values()


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
