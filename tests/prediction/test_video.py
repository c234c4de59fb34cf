"""Videos written by OpenCV, predicted, and read back."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from transkd.errors import DataError, NonFiniteError
from transkd.prediction.drawing import Classes, Drawer
from transkd.prediction.network import Network
from transkd.prediction.outputs import Model
from transkd.prediction.plan import Job, Source
from transkd.prediction.videos import VideoReader, mean_rate, predict_clip, video_writer

FRAMES = 12
CLASSES = Classes(("dark", "bright"), ((200, 30, 30), (30, 30, 200)))


def frame(number: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Return a dark RGB frame with a bright bar that moves to the right."""
    image = np.full((height, width, 3), (40, 20, 10), np.uint8)
    image[:, 8 * (number % 12) : 8 * (number % 12) + 8] = (250, 220, 200)
    return image


def record(
    path: Path, codec: str = "mp4v", frames: int = FRAMES, rate: float = 29.97, size: tuple[int, int] = (64, 96)
) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size[::-1])
    assert writer.isOpened()
    for number in range(frames):
        writer.write(frame(number, *size)[..., ::-1])
    writer.release()
    return path


def bright(images: Tensor) -> Tensor:
    """Return logits of two classes: dark and bright."""
    means = images.float().mean(1, keepdim=True) / 255
    return torch.cat([0.5 - means, means - 0.5], dim=1)


def models(batch_size: int = 5, logits_of=bright, **options: object) -> list[Model]:  # type: ignore[no-untyped-def]
    network = Network(logits_of, lambda images: logits_of(images).argmax(1), torch.device("cpu"), batch_size=batch_size)
    return [Model(network, Drawer("student", CLASSES, **options))]  # type: ignore[arg-type]


def job(path: Path, **outputs: Path) -> Job:
    return Job(Source(path, path.stem, True), outputs)  # type: ignore[arg-type]


def read_back(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        read, image = capture.read()
        if not read:
            return frames
        frames.append(image[..., ::-1])


@pytest.mark.parametrize(
    ("name", "codec"), [("v.mp4", "mp4v"), ("v.avi", "MJPG"), ("v.mkv", "mp4v"), ("v.mov", "mp4v")]
)
def test_every_frame_comes_back_in_the_classes_colours(tmp_path: Path, name: str, codec: str) -> None:
    video = record(tmp_path / name, codec)
    clip = predict_clip(job(video, colour=tmp_path / "out/colour.mp4"), models())
    assert (clip.frames, clip.shortfall, clip.notes) == (FRAMES, None, ())
    frames = read_back(tmp_path / "out/colour.mp4")
    for number, image in enumerate(frames):
        assert image.shape == (64, 96, 3)
        expected = CLASSES.table[(frame(number).mean(-1) > 127).astype(int)].astype(int)
        middle = (slice(None), slice(8 * (number % 12) + 3, 8 * (number % 12) + 5))
        assert np.abs(image[middle] - expected[middle]).mean() < 25
        assert np.median(np.abs(image - expected)) < 12
    assert cv2.VideoCapture(str(tmp_path / "out/colour.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(29.97, abs=0.01)


def test_overlays_and_comparisons_keep_one_size_with_a_legend(tmp_path: Path) -> None:
    video = record(tmp_path / "v.avi", "MJPG", size=(66, 250))
    seen: list[tuple[int, int]] = []
    outputs = {"overlay": tmp_path / "overlay.mp4", "compare": tmp_path / "compare.mp4"}
    predict_clip(job(video, **outputs), models() + models(), progress=lambda *counts: seen.append(counts))
    assert seen == [(5, 12), (10, 12), (12, 12)]
    overlay, compare = read_back(outputs["overlay"]), read_back(outputs["compare"])
    assert len(overlay) == len(compare) == FRAMES
    assert overlay[0].shape[0] > 66
    assert overlay[0].shape[1] == 250
    assert len({image.shape for image in overlay}) == len({image.shape for image in compare}) == 1
    assert compare[0].shape[1] == 3 * (256 + 8) + 8


def test_ids_and_confidences_are_numbered_pictures(tmp_path: Path) -> None:
    video = record(tmp_path / "v.avi", "MJPG")
    network = Network(bright, lambda images: images[:, 0], torch.device("cpu"), batch_size=5, confidence=True)
    folders = {"ids": tmp_path / "v.frames", "confidence": tmp_path / "c.frames"}
    predict_clip(job(video, **folders), [Model(network, Drawer("m", CLASSES))])
    for folder in folders.values():
        assert sorted(path.name for path in folder.iterdir()) == [f"{n:06d}.png" for n in range(1, FRAMES + 1)]
    ids = np.asarray(Image.open(folders["ids"] / "000004.png"))
    decoded = read_back(video)[3]
    assert np.array_equal(ids, bright(torch.from_numpy(decoded.copy()).permute(2, 0, 1)[None])[0].argmax(0).numpy())
    assert np.asarray(Image.open(folders["confidence"] / "000004.png")).min() >= 127


def test_odd_sides_get_another_row_and_column(tmp_path: Path) -> None:
    with video_writer(tmp_path / "odd.mp4", 25, tmp_path / "odd.mp4") as write:
        for number in range(3):
            write(frame(number, 65, 97))
    assert [image.shape for image in read_back(tmp_path / "odd.mp4")] == [(66, 98, 3)] * 3


@pytest.mark.parametrize(("name", "codec"), [("v.avi", "MJPG"), ("v.mkv", "mp4v")])
def test_a_video_that_ends_in_mid_frame_is_written_up_to_there(tmp_path: Path, name: str, codec: str) -> None:
    video = record(tmp_path / name, codec, frames=40)
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) * 6 // 10])
    clip = predict_clip(job(video, colour=tmp_path / "out.mp4"), models())
    assert 5 < clip.frames < 36
    assert clip.shortfall is not None
    assert f"{name}: the video ends at frame {clip.frames} of 40" in clip.shortfall
    assert len(read_back(tmp_path / "out.mp4")) == clip.frames


def test_a_rotated_video_is_upright(tmp_path: Path) -> None:
    video = record(tmp_path / "v.mp4")
    movie = bytearray(video.read_bytes())
    matrix = movie.find(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", movie[matrix : matrix + 36])[0] == 0x10000
    quarter = (0, 0x10000, 0, -0x10000, 0, 0, 64 << 16, 0, 0x40000000)
    movie[matrix : matrix + 36] = struct.pack(">9i", *quarter)
    video.write_bytes(movie)
    predict_clip(job(video, colour=tmp_path / "out.mp4"), models())
    frames = read_back(tmp_path / "out.mp4")
    assert frames[2].shape == (96, 64, 3)
    expected = CLASSES.table[(np.rot90(frame(2), -1).mean(-1) > 127).astype(int)].astype(int)
    assert np.median(np.abs(frames[2] - expected)) < 12
    assert np.abs(frames[2][18:22] - np.array(CLASSES.colours[1])).mean() < 25


@pytest.mark.parametrize(
    ("times", "stated", "rate"),
    [
        ([0.0, 0.033, 0.067, 0.1, 0.133], 30.0, 30.0),
        ([2.0, 2.04, 2.08], 25.0, 25.0),
        ([0.0, 0.04, 0.08, 0.2, 0.24, 0.4], 25.0, 12.5),
        ([0.0, 0.04, 0.08], 1000.0, 25.0),
        ([0.0, 0.0, 0.0], 24.0, 24.0),
        ([0.0, 0.1, 0.2], None, 10.0),
        ([], None, 25.0),
    ],
)
def test_the_rate_of_frames_is_found_from_their_times(times: list[float], stated: float | None, rate: float) -> None:
    assert mean_rate(times, stated) == pytest.approx(rate)


def test_files_that_are_no_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.mp4: the video does not exist"):
        VideoReader(tmp_path / "gone.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    video = record(tmp_path / "cut.mp4")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    for name in ("text.mp4", "empty.mp4", "cut.mp4"):
        with pytest.raises(DataError, match=f"{name}: cannot be opened as a video"):
            predict_clip(job(tmp_path / name, colour=tmp_path / "out.mp4"), models())
    assert not (tmp_path / "out.mp4").exists()


def test_nothing_is_left_of_a_video_that_fails_or_is_stopped(tmp_path: Path) -> None:
    def stop(done: int, expected: int) -> None:
        raise KeyboardInterrupt

    video = record(tmp_path / "v.mp4")
    outputs = {"overlay": tmp_path / "o.mp4", "ids": tmp_path / "i.frames"}
    with pytest.raises(NonFiniteError, match=r"v\.mp4, frame 1: the class scores are NaN or infinite"):
        predict_clip(job(video, **outputs), models(logits_of=lambda images: bright(images) * float("inf")))
    with pytest.raises(KeyboardInterrupt):
        predict_clip(job(video, **outputs), models(), progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]
