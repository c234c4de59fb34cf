"""Videos, read and written with OpenCV, whose frames are predicted in batches."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from transkd.errors import DataError, TransKDError
from transkd.evaluation.pictures import Pixels
from transkd.prediction import EXACT_KINDS, Kind
from transkd.prediction.outputs import Model, drawn, predict_with, whole, write_exact
from transkd.prediction.plan import PICTURE, Job

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # else FFmpeg complains of damaged files on its own, too

USUAL_RATE = 25.0
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
    job: Job, models: Sequence[Model], *, progress: Callable[[int, int], None] = lambda _done, _expected: None
) -> Clip:
    """Predict a video and write its outputs.

    Args:
        job: the video and its outputs.
        models: the segmenter, and the second one of comparisons.
        progress: called with the frames done and, where it is known, expected (else 0).

    Raises:
        DataError: the video cannot be read, or an output cannot be written.
        TransKDError: a frame cannot be predicted, such as for class scores that are NaN.
    """
    reader = VideoReader(job.source.path)
    films: dict[Kind, Callable[[Pixels], None]] = {}
    done = 0
    with silent(), ExitStack() as files:
        partials = {kind: files.enter_context(whole(path)) for kind, path in job.outputs.items()}
        for kind, partial in partials.items():
            if kind in EXACT_KINDS:
                partial.mkdir()
            else:
                films[kind] = files.enter_context(video_writer(partial, reader.rate, job.outputs[kind]))
        for images in batched_ahead(reader.frames(), models[0].network.batch_size):
            for image, predictions in zip(images, predict_with(models, images), strict=True):
                done += 1
                if isinstance(predictions, TransKDError):
                    raise type(predictions)(f"{job.source.path}, frame {done}: {predictions}")
                for kind, partial in partials.items():
                    if kind in films:
                        films[kind](drawn(kind, image, predictions, models, video=True))
                    else:
                        write_exact(kind, predictions[0], models[0], partial / f"{done:06d}{PICTURE}")
            progress(done, reader.expected)
    return Clip(done, reader.shortfall(), reader.notes())


def batched_ahead(frames: Iterator[Pixels], batch_size: int) -> Iterator[list[Pixels]]:
    """Yield batches of frames, the next one decoded meanwhile."""

    def take() -> list[Pixels]:
        return list(islice(frames, batch_size))

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(take)
        while batch := coming.result():
            coming = pool.submit(take)
            yield batch


def mean_rate(times: Sequence[float], stated: float | None) -> float:
    """Return the frames a second of a video that lasts as long as its source.

    Args:
        times: seconds at which the source's frames are shown.
        stated: the frames a second that its file states, if any; taken where it makes less than half a frame's
            difference.
    """
    intervals = len(times) - 1
    duration = max(times) - min(times) if times else 0.0
    if duration <= 0 or (stated and abs(duration * stated - intervals) < 0.5):
        return stated or USUAL_RATE
    return intervals / duration


def frame_times(path: Path) -> list[float]:
    """Return the seconds at which a video's frames are shown, sorted; nothing is decoded for it."""
    packets = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    times = []
    while packets.grab():
        times.append(packets.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    packets.release()
    return sorted(times)


@contextmanager
def silent() -> Iterator[None]:
    """Keep OpenCV from printing messages of its own."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


class VideoReader:
    """Frames of a video, upright by its rotation.

    Attributes:
        path: the file.
        rate: frames a second, the mean where it changes.
        expected: how many frames the file states that it has, 0 where it states none.
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
        rate, count = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        stated = float(rate) if math.isfinite(rate) and 0 < rate <= 1000 else None
        self.rate = mean_rate(times, stated)
        self.frames_read = 0
        self._is_even = all(abs((time - times[0]) * self.rate - number) < 1 for number, time in enumerate(times))
        self._stated_rate = stated or USUAL_RATE  # that the file's own count is made with
        self._count = int(count) if math.isfinite(count) and count > 0 else 0
        self._holds_count = path.suffix.lower() in COUNTED
        self.expected = self._count if self._holds_count else len(times)
        self._seen_until = 0.0

    def frames(self) -> Iterator[Pixels]:
        """Yield frames (H, W, 3) RGB, all of the first one's size.

        Raises:
            DataError: there is not a single one.
        """
        shape: tuple[int, ...] | None = None
        while True:
            read, frame = self._capture.read()
            if not read or frame is None:
                break
            shape = shape or frame.shape
            if frame.shape != shape:
                frame = cv2.resize(frame, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
            time, stamp = (self._capture.get(key) for key in (cv2.CAP_PROP_POS_MSEC, cv2.CAP_PROP_PTS))
            self._seen_until = max(self._seen_until, time / 1000, stamp / self._stated_rate)
            self.frames_read += 1
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        self._capture.release()
        if not self.frames_read:
            raise DataError(f"{self.path}: the video holds no frame that can be read.")

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of the video."""
        if self._is_even:
            return ()
        note = f"its frames do not follow each other at one rate; written at their mean, {self.rate:.4g} frames/s"
        return (f"{self.path}: {note}",)

    def shortfall(self) -> str | None:
        """Return, after the last frame, where the video ended before its end; None where it did not."""
        done = self.frames_read
        if not self._holds_count:  # its duration, in frames
            done = round(self._seen_until * self._stated_rate) + 1 + max(2, round(0.02 * self._count))
        if done >= self._count:
            return None
        return (
            f"{self.path}: the video ends at frame {self.frames_read} of {self._count} ({self._seen_until:.1f} of "
            f"{self._count / self._stated_rate:.1f} s): the file is truncated or damaged there; what could be read is "
            "written"
        )


@contextmanager
def video_writer(path: Path, rate: float, shown: Path) -> Iterator[Callable[[Pixels], None]]:
    """Give a function that appends a frame (H, W, 3) RGB to an MP4 file; all frames have one size.

    Sides of odd length get another row or column, which the codec needs.

    Args:
        path: the file.
        rate: frames a second.
        shown: what errors call it.

    Raises:
        DataError: the file cannot be written, or does not hold all frames in the end, as where a disk is full.
    """
    writer: cv2.VideoWriter | None = None
    written = 0

    def write(frame: Pixels) -> None:
        nonlocal writer, written
        even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        if writer is None:
            height, width = even.shape[:2]
            codec = cv2.VideoWriter.fourcc(*CODEC)
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, rate, (width, height))
            if not writer.isOpened():
                raise DataError(f"{shown}: OpenCV cannot write a video of {width}x{height} at {rate:g} frames/s")
        writer.write(np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2BGR), np.uint8))
        written += 1

    try:
        yield write
    finally:
        if writer is not None:
            writer.release()
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)  # OpenCV does not report what it cannot write
    held = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    if held != written:
        raise DataError(f"{shown}: only {held} of {written} frames could be written; is the disk full?")
