"""Predictions of a video, frame by frame in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from transkd.errors import TransKDError
from transkd.evaluation.pictures import SteadyLegend
from transkd.prediction.outputs import Model, Seen, drawn, see, write_exact
from transkd.prediction.plan import EXACT_KINDS, PICTURE, Job, Kind, whole
from transkd.prediction.videos import Frame, VideoReader, VideoWriter, silent


@dataclass(frozen=True)
class Clip:
    """What became of a video.

    Attributes:
        frames: how many were predicted.
        shortfall: says where the video ended before its end; None where it did not.
        notes: what else a person should know.
    """

    frames: int
    shortfall: str | None
    notes: tuple[str, ...]


def predict_clip(
    job: Job,
    model: Model,
    second: Model | None = None,
    *,
    progress: Callable[[int, int], None] = lambda _done, _expected: None,
) -> Clip:
    """Predict a video and write its outputs.

    Args:
        job: the video and its outputs.
        model: the segmenter.
        second: another one, for comparisons.
        progress: called with the frames done and, where it is known, expected (else 0).

    Raises:
        DataError: the video cannot be read, or an output cannot be written.
        TransKDError: a frame cannot be predicted, such as for class scores that are NaN.
    """
    reader = VideoReader(job.source.path)
    with silent(), ExitStack() as files:
        sinks = [_sink(kind, path, model, second, reader.pace.rate, files) for kind, path in job.outputs.items()]
        done = 0
        for frames in _ahead(reader.frames(), model.network.batch_size):
            for frame, seen in zip(frames, see([frame.image for frame in frames], model, second), strict=True):
                done += 1
                if isinstance(seen, TransKDError):
                    raise type(seen)(f"{job.source.path}, frame {done}: {seen}")
                for sink in sinks:
                    sink.take(seen, frame.place)
            progress(done, reader.expected)
    notes = [*reader.notes(), *(note for sink in sinks for note in sink.notes)]
    return Clip(done, reader.shortfall(), tuple(f"{job.source.path}: {note}" for note in notes))


def _ahead(frames: Iterator[Frame], batch_size: int) -> Iterator[list[Frame]]:
    """Yield batches of frames, the next one decoded meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(_take, frames, batch_size)
        while batch := coming.result():
            coming = pool.submit(_take, frames, batch_size)
            yield batch


def _take(frames: Iterator[Frame], count: int) -> list[Frame]:
    return list(islice(frames, count))


class _Sink(Protocol):
    @property
    def notes(self) -> Sequence[str]: ...

    def take(self, seen: Seen, place: int) -> None: ...


def _sink(kind: Kind, path: Path, model: Model, second: Model | None, rate: float, files: ExitStack) -> _Sink:
    partial = files.enter_context(whole(path))
    if kind in EXACT_KINDS:
        partial.mkdir()
        return _Frames(kind, model, partial)
    return _Film(kind, model, second, files.enter_context(VideoWriter(partial, rate, shown=path)))


class _Frames:
    """Numbers a frame, as PNG files counted from 000001."""

    notes: Sequence[str] = ()

    def __init__(self, kind: Kind, model: Model, folder: Path) -> None:
        self.kind, self.model, self.folder = kind, model, folder
        self.count = 0

    def take(self, seen: Seen, place: int) -> None:
        self.count += 1
        write_exact(self.kind, seen.prediction, self.model, self.folder / f"{self.count:06d}{PICTURE}")


class _Film:
    """Frames drawn in colours, as a video."""

    def __init__(self, kind: Kind, model: Model, second: Model | None, writer: VideoWriter) -> None:
        self.kind, self.model, self.second, self.writer = kind, model, second, writer
        self.legend: SteadyLegend | None = None
        self.started = False

    @property
    def notes(self) -> Sequence[str]:
        missing = self.legend.left_out if self.legend else []
        notes = [f"the legend has no room for {', '.join(missing)}"] if missing else []
        if count := self.writer.left_out:
            notes.append(f"{count} frames of its {self.kind} are left out, as they follow the one before too fast")
        return notes

    def take(self, seen: Seen, place: int) -> None:
        if not self.started:
            others = [self.second.drawer] if self.second and self.kind == "compare" else []
            self.legend = self.model.drawer.steady_legend(self.kind, seen.image, others)
            self.started = True
        self.writer.write(drawn(self.kind, seen, self.model, self.second, self.legend), place)
