"""Predictions of many pictures: read ahead, computed in batches of equal sizes, drawn and written meanwhile."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from transkd.errors import DataError, TransKDError
from transkd.evaluation.pictures import Pixels
from transkd.options import SMALLEST_SIDE
from transkd.prediction.outputs import Model, ReadImage, see, write_outputs
from transkd.prediction.plan import Job

WAITING_BATCHES = 3
"""Pictures of rare sizes wait for others of their size while no more than so many batches wait altogether."""
HELD_PIXELS = 2**26
"""Pictures of more pixels altogether do not wait: 200 MB, four times 16 megapixels."""
SLOW_PIXELS = 2**22
"""More of them at once are worth a note: attention takes the square of a picture's size."""


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
        return self.image[..., 0].size


@dataclass
class Tally:
    """What became of the pictures.

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
    """What is called meanwhile.

    Attributes:
        step: after each picture.
        note: with what a person should know before all is done.
    """

    step: Callable[[], None] = lambda: None
    note: Callable[[str], None] = lambda _: None


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
        tally: what is counted in and returned, so that it is known also where an exception ends all.
        workers: threads that read, draw and write.
        watcher: what is called meanwhile.

    Raises:
        OSError: the disk is full.
    """
    counted, watched = tally or Tally(), watcher or Watcher()
    models = [each for each in (model, second) if each]
    batch_size = model.network.batch_size
    writing: deque[tuple[Job, Future[None]]] = deque()

    def fail(line: str) -> None:
        counted.failures.append(line)
        watched.step()

    def settle(most: int) -> None:
        """Wait until no more than ``most`` pictures are being written."""
        while writing and (len(writing) > most or writing[0][1].done()):
            job, written = writing.popleft()
            try:
                written.result()
            except DataError as error:
                fail(f"{job.source.path}: {error}")
            else:
                counted.done += 1
                watched.step()

    def readable(reads: Iterable[Read | DataError]) -> Iterator[Read]:
        """Yield what could be read, and note once that a picture takes long."""
        noted = not model.network.views.is_plain
        for read in reads:
            if isinstance(read, DataError):
                fail(str(read))
                continue
            height, width = read.sizes[0]
            if not noted and height * width > SLOW_PIXELS:
                noted = True
                watched.note(
                    f"{read.job.source.path}: the model sees {height}x{width} pixels at once, which takes long; "
                    "inference=slide crop=[512,512] predicts by windows, a smaller size= sees fewer pixels"
                )
            yield read

    with ThreadPoolExecutor(workers) as pool:
        try:
            reads = read_ahead(pool, jobs, read_image, models, 2 * batch_size + workers)
            for batch in batches(readable(reads), batch_size):
                for read, seen in zip(batch, see([read.image for read in batch], model, second), strict=True):
                    if isinstance(seen, TransKDError):
                        fail(f"{read.job.source.path}: {seen}")
                        continue
                    writing.append((read.job, pool.submit(write_outputs, seen, read.job.outputs, model, second)))
                    counted.enlarged += min(read.image.shape[:2]) < SMALLEST_SIDE
                settle(fitting(2 * batch_size, batch[0].pixels))
            settle(0)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return counted


def read_ahead(
    pool: ThreadPoolExecutor, jobs: Iterable[Job], read_image: ReadImage, models: Sequence[Model], depth: int
) -> Iterator[Read | DataError]:
    """Yield each job's picture, or what is wrong with it, in order.

    Args:
        pool: threads that read.
        jobs: what pictures are for.
        read_image: from a path to (H, W, 3) uint8; raises ``DataError``.
        models: what sees them.
        depth: pictures are read up to so many jobs before their turn; fewer where they are large.
    """

    def read(job: Job) -> Read | DataError:
        try:
            image = read_image(job.source.path)
        except DataError as error:
            return error
        try:
            return Read(job, image, tuple(model.network.sees(image) for model in models))
        except DataError as error:
            return DataError(f"{job.source.path}: {error}")

    waiting: deque[Future[Read | DataError]] = deque()
    room = 1
    for job in jobs:
        waiting.append(pool.submit(read, job))
        while len(waiting) > room:
            found = waiting.popleft().result()
            room = fitting(depth, found.pixels) if isinstance(found, Read) else room
            yield found
    while waiting:
        yield waiting.popleft().result()


def fitting(most: int, pixels: int) -> int:
    """Return how many pictures of so many pixels may wait, 1 to ``most``."""
    return max(1, min(most, HELD_PIXELS // max(1, pixels)))


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
