"""Videos in and out, with OpenCV."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # else FFmpeg complains of damaged files on its own, too

import cv2
import numpy as np

from transkd.errors import DataError
from transkd.evaluation.pictures import Pixels

CODEC = "mp4v"
"""MPEG-4 Part 2: the one that OpenCV's wheels can write to MP4 on every platform."""
USUAL_RATE = 25.0
_COUNTED = (".mp4", ".m4v", ".mov", ".avi")
"""Containers that hold the number of frames; of others it is estimated from the duration."""


class VideoReader:
    """Frames of a video, upright as its rotation says.

    Attributes:
        path: the file.
        rate: frames a second.
        rate_is_guessed: whether the file does not say it.
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
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise DataError(
                f"{path}: cannot be opened as a video. The file is truncated before its index, damaged, no video, "
                "or of a codec that this OpenCV lacks; copy it again, or convert it to MP4 with H.264."
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate_is_guessed = not (math.isfinite(rate) and 0 < rate <= 1000)
        self.rate = USUAL_RATE if self.rate_is_guessed else float(rate)
        expected = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.expected = int(expected) if math.isfinite(expected) and expected > 0 else 0
        self.frames_read = 0

    def frames(self) -> Iterator[Pixels]:
        """Yield frames (H, W, 3) RGB, all of the first one's size.

        Raises:
            DataError: there is not a single one.
        """
        shape: tuple[int, ...] | None = None
        try:
            while True:
                read, frame = self._capture.read()
                if not read or frame is None:
                    break
                shape = shape or frame.shape
                if frame.shape != shape:
                    frame = cv2.resize(frame, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
                self.frames_read += 1
                yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        finally:
            self._capture.release()
        if not self.frames_read:
            raise DataError(f"{self.path}: the video holds no frame that can be read.")

    def shortfall(self) -> str | None:
        """Say, after the last frame, where the video ended before its end; None where it did not."""
        slack = 0 if self.path.suffix.lower() in _COUNTED else max(2, round(0.02 * self.expected))
        if self.frames_read + slack >= self.expected:
            return None
        return (
            f"{self.path}: the video ends at frame {self.frames_read} of {self.expected} "
            f"({self.frames_read / self.rate:.1f} of {self.expected / self.rate:.1f} s): the file is truncated or "
            "damaged there; what could be read is written"
        )


class VideoWriter:
    """An MP4 file of frames of one size; sides of odd length get another row or column, which the codec needs.

    Attributes:
        path: the file.
        rate: frames a second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path = path
        self.rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._shape: tuple[int, ...] = ()
        self._written = 0

    def write(self, frame: Pixels) -> None:
        """Append a frame (H, W, 3) RGB.

        Raises:
            DataError: the file cannot be written.
            ValueError: the frame has another size than the first.
        """
        if self._writer is None:
            self._shape = frame.shape
            self._writer = self._opened(frame.shape[0] + frame.shape[0] % 2, frame.shape[1] + frame.shape[1] % 2)
        if frame.shape != self._shape:
            raise ValueError(f"a frame of {frame.shape} in a video of {self._shape}")
        even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        self._writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
        self._written += 1

    def _opened(self, height: int, width: int) -> cv2.VideoWriter:
        writer = cv2.VideoWriter(
            str(self.path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), self.rate, (width, height)
        )
        if not writer.isOpened():
            raise DataError(
                f"{self.path.name}: OpenCV cannot write a video of {width}x{height} at {self.rate:g} frames/s"
            )
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
            raise DataError(
                f"{self.path.name}: only {held} of {self._written} frames could be written; is the disk full?"
            )

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
