"""Predictions of many pictures: read ahead, computed in batches of equal sizes, drawn and written meanwhile."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from transkd.errors import DataError, TransKDError
from transkd.evaluation.pictures import Pixels
from transkd.options import SMALLEST_SIDE
from transkd.prediction.outputs import Model, ReadImage, predict_with, write_outputs
from transkd.prediction.plan import Job

HELD_PIXELS = 2**26
"""Pictures of more pixels altogether do not wait for others of their size: 200 MB, four times 16 megapixels."""
WAITING_BATCHES = 3
"""Nor do more pictures than are in so many batches."""


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


def predict_stills(
    jobs: Sequence[Job],
    read_image: ReadImage,
    models: Sequence[Model],
    *,
    tally: Tally,
    workers: int = 2,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Predict pictures and write their outputs; one that cannot be read or written does not stop the others.

    Args:
        jobs: pictures and their outputs.
        read_image: from a path to (H, W, 3) uint8; raises ``DataError``.
        models: the segmenter, and the second one of comparisons.
        tally: what is counted in, so that it is known also where an exception ends all.
        workers: threads that read, draw and write.
        progress: called after each picture.

    Raises:
        OSError: the disk is full.
    """
    batch_size = models[0].network.batch_size
    writing: deque[tuple[Job, Future[None]]] = deque()

    def fail(line: str) -> None:
        tally.failures.append(line)
        progress()

    def finish(most: int) -> None:
        """Wait until no more than ``most`` pictures are being written."""
        while writing and (len(writing) > most or writing[0][1].done()):
            job, written = writing.popleft()
            try:
                written.result()
            except DataError as error:
                fail(f"{job.source.path}: {error}")
            else:
                tally.done += 1
                progress()

    with ThreadPoolExecutor(workers) as pool:
        try:
            for batch in batches(read_ahead(pool, jobs, read_image, models, batch_size + workers, fail), batch_size):
                found = predict_with(models, [read.image for read in batch])
                for read, predictions in zip(batch, found, strict=True):
                    if isinstance(predictions, TransKDError):
                        fail(f"{read.job.source.path}: {predictions}")
                        continue
                    tally.enlarged += min(read.image.shape[:2]) < SMALLEST_SIDE
                    outputs = read.job.outputs
                    writing.append((read.job, pool.submit(write_outputs, read.image, predictions, outputs, models)))
                finish(batch_size + workers)
            finish(0)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def read_ahead(
    pool: ThreadPoolExecutor,
    jobs: Iterable[Job],
    read_image: ReadImage,
    models: Sequence[Model],
    depth: int,
    fail: Callable[[str], None],
) -> Iterator[Read]:
    """Yield the pictures in order, each read up to ``depth`` jobs before its turn; ``fail`` gets what is wrong."""

    def read(job: Job) -> Read:
        image = read_image(job.source.path)
        try:
            return Read(job, image, tuple(model.network.sees(image) for model in models))
        except DataError as error:
            raise DataError(f"{job.source.path}: {error}") from error

    waiting: deque[Future[Read]] = deque()
    remaining = iter(jobs)
    while True:
        waiting.extend(pool.submit(read, job) for job in islice(remaining, depth - len(waiting)))
        if not waiting:
            return
        try:
            found = waiting.popleft().result()
        except DataError as error:
            fail(str(error))
        else:
            yield found


def batches(reads: Iterable[Read], batch_size: int) -> Iterator[list[Read]]:
    """Yield batches of pictures of one size for each segmenter."""
    waiting: defaultdict[tuple[tuple[int, int], ...], list[Read]] = defaultdict(list)
    for read in reads:
        same = waiting[read.sizes]
        same.append(read)
        held = [one.image[..., 0].size for group in waiting.values() for one in group]
        if len(same) == batch_size:
            yield waiting.pop(read.sizes)
        elif len(held) > WAITING_BATCHES * batch_size or sum(held) > HELD_PIXELS:
            yield waiting.pop(max(waiting, key=lambda sizes: len(waiting[sizes])))
    yield from waiting.values()
