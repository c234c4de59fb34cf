"""Frames of videos, read with OpenCV."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from transkd.errors import DataError
from transkd.evaluation.pictures import Pixels
from transkd.evaluation.predict.pacing import USUAL_RATE, frame_times, pace_of, silent

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
