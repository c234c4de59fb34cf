"""Videos, read and written with OpenCV: frames at their times, predicted in batches."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from transkd.errors import DataError, TransKDError
from transkd.evaluation.pictures import Pixels, SteadyLegend
from transkd.prediction import EXACT_KINDS, Kind
from transkd.prediction.outputs import Model, drawn, see, whole, write_exact
from transkd.prediction.plan import PICTURE, Job

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # else FFmpeg complains of damaged files on its own, too

USUAL_RATE = 25.0
HIGHEST_RATE = 60.0
"""Frames a second that a video of changing rate is written at, at most."""
LONGEST_PAUSE = 600.0
"""Seconds from one frame to the next, beyond which times are taken for damaged."""
SHORT_INTERVALS = 0.05
"""The rate shows all frames but those of this share that follow the one before faster than the others."""
COUNTED = (".mp4", ".m4v", ".mov", ".avi")
"""Containers that hold the number of frames; of others it is estimated from the duration."""
CODEC = "mp4v"
"""MPEG-4 Part 2: the one that OpenCV's wheels can write to MP4 on every platform."""


@dataclass(frozen=True)
class Clip:
    """What became of a video.

    Attributes:
        frames: how many were predicted.
        shortfall: where the video ended before its end; None where it did not.
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
    films: dict[Kind, VideoWriter] = {}
    legends: dict[Kind, SteadyLegend | None] = {}
    done = 0
    with silent(), ExitStack() as files:
        partials = {kind: files.enter_context(whole(path)) for kind, path in job.outputs.items()}
        for kind, partial in partials.items():
            if kind in EXACT_KINDS:
                partial.mkdir()
            else:
                writer = VideoWriter(partial, reader.pace.rate, shown=job.outputs[kind])
                films[kind] = files.enter_context(writer)
        for frames in batched_ahead(reader.frames(), model.network.batch_size):
            for frame, seen in zip(frames, see([frame.image for frame in frames], model, second), strict=True):
                done += 1
                if isinstance(seen, TransKDError):
                    raise type(seen)(f"{job.source.path}, frame {done}: {seen}")
                for kind, partial in partials.items():
                    if kind in EXACT_KINDS:
                        write_exact(kind, seen.prediction, model, partial / f"{done:06d}{PICTURE}")
                        continue
                    if kind not in legends:
                        others = [second.drawer] if second and kind == "compare" else []
                        legends[kind] = model.drawer.steady_legend(kind, seen.image, others)
                    films[kind].write(drawn(kind, seen, model, second, legends[kind]), frame.place)
            progress(done, reader.expected)
    notes = reader.notes()
    for kind, film in films.items():
        if (legend := legends[kind]) and legend.left_out:
            notes.append(f"the legend has no room for {', '.join(legend.left_out)}")
        if film.left_out:
            notes.append(f"{film.left_out} frames of its {kind} are left out, as they follow the one before too fast")
    return Clip(done, reader.shortfall(), tuple(f"{job.source.path}: {note}" for note in notes))


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        image: (H, W, 3) RGB.
        place: which one it is, from 0, of a video of constant rate.
    """

    image: Pixels
    place: int


def batched_ahead(frames: Iterator[Frame], batch_size: int) -> Iterator[list[Frame]]:
    """Yield batches of frames, the next one decoded meanwhile."""

    def take() -> list[Frame]:
        return list(islice(frames, batch_size))

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(take)
        while batch := coming.result():
            coming = pool.submit(take)
            yield batch


@dataclass(frozen=True)
class Pace:
    """How frames become a video of constant rate.

    Attributes:
        rate: frames a second.
        varies: whether frames are placed by their times; else one follows the other.
    """

    rate: float
    varies: bool = False

    def place(self, number: int, time: float) -> int:
        """Return which frame of the video a frame is.

        Args:
            number: counted from 0.
            time: seconds since the first frame.
        """
        return round(time * self.rate) if self.varies else number


def pace_of(times: Sequence[float], stated: float | None) -> Pace:
    """Find the rate of frames.

    Args:
        times: seconds at which frames are shown.
        stated: the frames a second that the file states, if any.
    """
    steady = Pace(stated or USUAL_RATE)
    times = sorted(times)
    intervals = sorted(after - before for before, after in pairwise(times))
    if not intervals or intervals[0] <= 0 or intervals[-1] > LONGEST_PAUSE:
        return steady
    mean = len(intervals) / (times[-1] - times[0])
    if all(abs((time - times[0]) * mean - number) <= 0.5 for number, time in enumerate(times)):
        agrees = abs((times[-1] - times[0]) * steady.rate - len(intervals)) < 0.5
        return steady if stated and agrees else Pace(mean)
    rate = min(HIGHEST_RATE, 1 / intervals[int(SHORT_INTERVALS * len(intervals))])
    return Pace(stated if stated and abs(rate / stated - 1) < 0.1 else rate, varies=True)


def frame_times(path: Path) -> list[float]:
    """Return the seconds at which a video's frames are shown, in the file's order; nothing is decoded for it."""
    packets = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    times = []
    while packets.grab():
        times.append(packets.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    packets.release()
    return times


@contextmanager
def silent() -> Iterator[None]:
    """Keep OpenCV from printing messages of its own."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


class VideoReader:
    """Frames of a video, upright as its rotation says.

    Attributes:
        path: the file.
        pace: how frames follow each other.
        expected: how many frames the file says that it has, 0 where it does not say.
        frames_read: how many have been read.

    Args:
        path: the file.

    Raises:
        DataError: it is missing, no video, or has no end where an index is needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DataError(f"{path}: the video does not exist.")
        with silent():
            self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
            if not self._capture.isOpened():
                raise DataError(
                    f"{path}: cannot be opened as a video. The file is truncated before its index, damaged, no video, "
                    "or of a codec that this OpenCV lacks; copy it again, or convert it to MP4 with H.264."
                )
            times = frame_times(path)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        stated = float(rate) if math.isfinite(rate) and 0 < rate <= 1000 else None
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.pace = pace_of(times, stated)
        self._rate = stated or USUAL_RATE  # that the file's own count is made with
        self._count = int(count) if math.isfinite(count) and count > 0 else 0
        self._holds_count = path.suffix.lower() in COUNTED
        self.expected = self._count if self._holds_count else len(times)
        self.frames_read = 0
        self._uneven = False
        self._seen_until = 0.0

    def frames(self) -> Iterator[Frame]:
        """Yield frames, all of the first one's size.

        Raises:
            DataError: there is not a single one.
        """
        shape: tuple[int, ...] | None = None
        start = 0.0
        try:
            while True:
                read, frame = self._capture.read()
                if not read or frame is None:
                    break
                shape = shape or frame.shape
                if frame.shape != shape:
                    frame = cv2.resize(frame, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
                time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                start = time if self.frames_read == 0 else start
                self._seen_until = max(self._seen_until, time, self._capture.get(cv2.CAP_PROP_PTS) / self._rate)
                place = self.pace.place(self.frames_read, time - start)
                self._uneven |= place != self.frames_read
                self.frames_read += 1
                yield Frame(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8), place)
        finally:
            self._capture.release()
        if not self.frames_read:
            raise DataError(f"{self.path}: the video holds no frame that can be read.")

    def notes(self) -> list[str]:
        """Return, after the last frame, what a person should know of the video."""
        if not self._uneven:
            return []
        return [
            f"its frames do not follow each other at one rate; written at {self.pace.rate:.4g} frames/s, "
            "each stays as long as it does in the file"
        ]

    def shortfall(self) -> str | None:
        """Return, after the last frame, where the video ended before its end; None where it did not."""
        done = self.frames_read
        if not self._holds_count:  # its duration, in frames
            done = round(self._seen_until * self._rate) + 1 + max(2, round(0.02 * self._count))
        if done >= self._count:
            return None
        end = f"frame {self.frames_read} {'' if self.pace.varies else f'of {self._count} '}"
        return (
            f"{self.path}: the video ends at {end}"
            f"({self._seen_until:.1f} of {self._count / self._rate:.1f} s): the file is truncated or "
            "damaged there; what could be read is written"
        )


class VideoWriter:
    """An MP4 file of frames of one size; sides of odd length get another row or column, which the codec needs.

    Attributes:
        path: the file.
        rate: frames a second.
        shown: what errors call it; None for ``path``.
        left_out: how many frames had the same place as the one before.
    """

    def __init__(self, path: Path, rate: float, shown: Path | None = None) -> None:
        self.path = path
        self.rate = rate
        self.shown = shown or path
        self.left_out = 0
        self._writer: cv2.VideoWriter | None = None
        self._shape: tuple[int, ...] = ()
        self._last: Pixels | None = None
        self._written = 0

    def write(self, frame: Pixels, place: int | None = None) -> None:
        """Append a frame (H, W, 3) RGB.

        Args:
            frame: the picture.
            place: which frame of the video it is; the one before stays until then. None is the next.

        Raises:
            DataError: the file cannot be written.
            ValueError: the frame has another size than the first.
        """
        even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        if self._writer is None:
            self._shape = frame.shape
            height, width = even.shape[:2]
            codec = cv2.VideoWriter.fourcc(*CODEC)
            self._writer = cv2.VideoWriter(str(self.path), cv2.CAP_FFMPEG, codec, self.rate, (width, height))
            if not self._writer.isOpened():
                raise DataError(
                    f"{self.shown}: OpenCV cannot write a video of {width}x{height} at {self.rate:g} frames/s"
                )
        if frame.shape != self._shape:
            raise ValueError(f"a frame of {frame.shape} in a video of {self._shape}")
        place = self._written if place is None else place
        if place < self._written:
            self.left_out += 1
            return
        pixels = np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2BGR), np.uint8)
        while self._last is not None and self._written < place:
            self._writer.write(self._last)
            self._written += 1
        self._writer.write(pixels)
        self._written += 1
        self._last = pixels

    def close(self) -> None:
        """Finish the file, and read its length back, since OpenCV does not report what it cannot write.

        Raises:
            DataError: it does not hold all frames, as where a disk is full.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        check = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        held = int(check.get(cv2.CAP_PROP_FRAME_COUNT)) if check.isOpened() else 0
        check.release()
        if held != self._written:
            raise DataError(f"{self.shown}: only {held} of {self._written} frames could be written; is the disk full?")

    def __enter__(self) -> VideoWriter:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file; after an error, only let go of it."""
        if kind is None:
            self.close()
        elif self._writer is not None:
            self._writer.release()
