"""Pictures read before their turn and gathered in batches, never more of them than memory can hold."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from transkd.errors import DataError
from transkd.evaluation.pictures import Pixels
from transkd.evaluation.predict.outputs import Model, ReadImage
from transkd.evaluation.predict.plan import Job

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
