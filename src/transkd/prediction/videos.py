"""Frames of videos, read with OpenCV."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from transkd.errors import DataError
from transkd.evaluation.pictures import Pixels
from transkd.prediction.plan import FullError

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # else FFmpeg complains of damaged files on its own, too

USUAL_RATE = 25.0
HIGHEST_RATE = 60.0
"""Frames a second that a video of changing rate is written at, at most."""
LONGEST_PAUSE = 600.0
"""Seconds from one frame to the next, beyond which times are taken for damaged."""
SHORT_INTERVALS = 0.05
"""The rate shows all frames but those of this share that follow the one before faster than the others."""


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
    with silent():
        packets = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
        times = []
        while packets.grab():
            times.append(packets.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        packets.release()
    return times


@contextmanager
def silent() -> Iterator[None]:
    """Let OpenCV say nothing of its own."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


CODEC = "mp4v"
"""MPEG-4 Part 2: the one that OpenCV's wheels can write to MP4 on every platform."""
LEAST_ROOM = 2**16
"""Bytes that a disk must have left while a video is written."""


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
        if self._writer is None:
            self._shape = frame.shape
            self._writer = self._opened(frame.shape[0] + frame.shape[0] % 2, frame.shape[1] + frame.shape[1] % 2)
        if frame.shape != self._shape:
            raise ValueError(f"a frame of {frame.shape} in a video of {self._shape}")
        place = self._written if place is None else place
        if place < self._written:
            self.left_out += 1
            return
        even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        pixels = np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2BGR), np.uint8)
        while self._last is not None and self._written < place:
            self._append(self._last)
        self._append(pixels)
        self._last = pixels

    def _append(self, pixels: Pixels) -> None:
        assert self._writer is not None
        self._writer.write(pixels)
        self._written += 1
        if self._disk_is_full():  # OpenCV does not say that it cannot write
            raise FullError(f"{self.shown} cannot be written: No space left on device")

    def _disk_is_full(self) -> bool:
        return shutil.disk_usage(self.path.parent).free < LEAST_ROOM

    def _opened(self, height: int, width: int) -> cv2.VideoWriter:
        writer = cv2.VideoWriter(
            str(self.path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), self.rate, (width, height)
        )
        if not writer.isOpened():
            raise DataError(f"{self.shown}: OpenCV cannot write a video of {width}x{height} at {self.rate:g} frames/s")
        return writer

    def close(self) -> None:
        """Finish the file, and read it back.

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
            kind = FullError if self._disk_is_full() else DataError
            raise kind(f"{self.shown}: only {held} of {self._written} frames could be written; is the disk full?")

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


_COUNTED = (".mp4", ".m4v", ".mov", ".avi")
"""Containers that hold the number of frames; of others it is estimated from the duration."""


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        image: (H, W, 3) RGB.
        place: which one it is, from 0, of a video of constant rate.
    """

    image: Pixels
    place: int


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
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self._stated = float(rate) if math.isfinite(rate) and 0 < rate <= 1000 else None
        times = frame_times(path)
        self.pace = pace_of(times, self._stated)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._counted = int(count) if math.isfinite(count) and count > 0 else 0
        self._holds_count = path.suffix.lower() in _COUNTED
        self.expected = self._counted if self._holds_count else len(times)
        self.frames_read = 0
        self._uneven = False
        self._seen_until = 0.0
        width, height = (self._capture.get(key) for key in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
        self._pixel_shape = width / height if width > 0 and height > 0 else 1.0

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
                self._seen_until = max(self._seen_until, time, self._capture.get(cv2.CAP_PROP_PTS) / self._unit)
                place = self.pace.place(self.frames_read, time - start)
                self._uneven |= place != self.frames_read
                self.frames_read += 1
                yield Frame(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8), place)
        finally:
            self._capture.release()
        if not self.frames_read:
            raise DataError(f"{self.path}: the video holds no frame that can be read.")

    @property
    def _unit(self) -> float:
        """Frames a second that the file's own counts are made with."""
        return self._stated or USUAL_RATE

    def notes(self) -> list[str]:
        """Say, after the last frame, what a person should know of the video."""
        notes = []
        if self._uneven:
            notes.append(
                f"its frames do not follow each other at one rate; written at {self.pace.rate:.4g} frames/s, "
                "each stays as long as it does in the file"
            )
        elif self._stated is None:
            notes.append(f"the file does not say how many frames a second it has; {self.pace.rate:.4g} are assumed")
        if self._pixel_shape != 1:
            notes.append(
                f"its pixels are to be shown {self._pixel_shape:.3g} times as wide as high; "
                "they are taken and written as squares"
            )
        return notes

    def shortfall(self) -> str | None:
        """Say, after the last frame, where the video ended before its end; None where it did not."""
        if self._holds_count:
            done, whole = self.frames_read, self._counted
        else:  # its duration, in frames
            done, whole = round(self._seen_until * self._unit) + 1, self._counted
            done += max(2, round(0.02 * whole))
        if done >= whole:
            return None
        end = f"frame {self.frames_read} {'' if self.pace.varies else f'of {whole} '}"
        return (
            f"{self.path}: the video ends at {end}"
            f"({self._seen_until:.1f} of {whole / self._unit:.1f} s): the file is truncated or "
            "damaged there; what could be read is written"
        )
