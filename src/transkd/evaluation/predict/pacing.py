"""When the frames of a video are shown: videos are written at a constant rate, and not all are recorded at one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # else FFmpeg complains of damaged files on its own, too

import cv2

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
