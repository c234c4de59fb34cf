"""Predictions of many pictures: read ahead, computed in batches of equal sizes, drawn and written beside that."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from transkd.errors import DataError, NonFiniteError
from transkd.evaluation.pictures import Pixels
from transkd.evaluation.predict.outputs import Model, ReadImage, see, write_outputs
from transkd.evaluation.predict.plan import Job
from transkd.models.checks import SMALLEST_SIDE

T = TypeVar("T")

WAITING_BATCHES = 3
"""Pictures of rare sizes wait for others of their size while no more than so many batches wait altogether."""


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
class _Read:
    job: Job
    image: Pixels
    sizes: tuple[tuple[int, int], ...]


def predict_stills(
    jobs: Sequence[Job],
    read_image: ReadImage,
    model: Model,
    second: Model | None = None,
    *,
    workers: int = 2,
    progress: Callable[[], None] = lambda: None,
) -> Tally:
    """Predict pictures and write their outputs; one that cannot be read does not stop the others.

    Args:
        jobs: pictures and their outputs.
        read_image: from a path to (H, W, 3) uint8; raises ``DataError``.
        model: the segmenter.
        second: another one, for comparisons.
        workers: threads that read, draw and write.
        progress: called after each picture.

    Raises:
        DataError: an output cannot be written.
    """
    tally = Tally()
    batch_size = model.network.batch_size
    with ThreadPoolExecutor(workers) as pool:
        writing: deque[Future[None]] = deque()
        try:
            reads = _ahead(pool, lambda job: _read(job, read_image, model, second), jobs, 2 * batch_size + workers)
            for batch in _batches(_readable(reads, tally, progress), batch_size):
                for read, seen in zip(batch, see([read.image for read in batch], model, second), strict=True):
                    if isinstance(seen, NonFiniteError):
                        tally.failures.append(f"{read.job.source.path}: {seen}")
                        progress()
                        continue
                    writing.append(pool.submit(write_outputs, seen, read.job.outputs, model, second))
                    tally.enlarged += min(read.image.shape[:2]) < SMALLEST_SIDE
                _settle(writing, tally, progress, 2 * batch_size)
            _settle(writing, tally, progress, 0)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return tally


def _read(job: Job, read_image: ReadImage, model: Model, second: Model | None) -> _Read | DataError:
    try:
        image = read_image(job.source.path)
    except DataError as error:
        return error
    return _Read(job, image, tuple(each.network.sees(image) for each in (model, second) if each))


def _ahead(pool: ThreadPoolExecutor, function: Callable[[Job], T], jobs: Iterable[Job], depth: int) -> Iterator[T]:
    """Yield what ``function`` gives for each job, in order, computed up to ``depth`` jobs ahead."""
    waiting: deque[Future[T]] = deque()
    for job in jobs:
        waiting.append(pool.submit(function, job))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _readable(reads: Iterable[_Read | DataError], tally: Tally, progress: Callable[[], None]) -> Iterator[_Read]:
    for read in reads:
        if isinstance(read, _Read):
            yield read
        else:
            tally.failures.append(str(read))
            progress()


def _batches(reads: Iterable[_Read], batch_size: int) -> Iterator[list[_Read]]:
    """Yield batches of pictures of one size for each segmenter."""
    waiting: defaultdict[tuple[tuple[int, int], ...], list[_Read]] = defaultdict(list)
    for read in reads:
        same = waiting[read.sizes]
        same.append(read)
        if len(same) == batch_size:
            yield waiting.pop(read.sizes)
        elif sum(map(len, waiting.values())) > WAITING_BATCHES * batch_size:
            yield waiting.pop(max(waiting, key=lambda sizes: len(waiting[sizes])))
    yield from waiting.values()


def _settle(writing: deque[Future[None]], tally: Tally, progress: Callable[[], None], most: int) -> None:
    """Wait until no more than ``most`` pictures are being written."""
    while writing and (len(writing) > most or writing[0].done()):
        writing.popleft().result()
        tally.done += 1
        progress()
