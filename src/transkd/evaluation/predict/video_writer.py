"""Videos, written with OpenCV."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from transkd.errors import DataError
from transkd.evaluation.pictures import Pixels
from transkd.evaluation.predict.files import FullError

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
