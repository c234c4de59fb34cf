"""``transkd-predict``: pictures and videos of every kind, and refusals, as a person at a terminal meets them."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from command_runs import ClassIds, Command, Outcome
from PIL import Image
from rich.progress import Progress

from transkd.data.classes import CAMVID, CITYSCAPES
from transkd.data.reading import read_image
from transkd.data.transforms import evaluation
from transkd.evaluation import classes_and_labels
from transkd.evaluation.inference import Inference, infer
from transkd.models import create_segmenter, load_segmenter

NAME = "transkd-predict"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of segmenters: ``camvid`` and ``streets`` with datasets' class names."""
    folder = tmp_path_factory.mktemp("models")
    for name, names in (("camvid", CAMVID.names), ("streets", CITYSCAPES.names)):
        torch.manual_seed(3)
        create_segmenter("mit_b0", len(names), class_names=names).save_pretrained(folder / name)
    return folder


@pytest.fixture
def predict(run: Command, models: Path):  # type: ignore[no-untyped-def]
    def call(*arguments: str, model: str = "camvid") -> Outcome:
        return run(f"model={models / model}", "device=cpu", *arguments, name=NAME)

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with pictures of every kind that people have."""
    top = tmp_path / "photos"
    (top / "more").mkdir(parents=True)
    scene = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)).resize((96, 64))
    scene.save(top / "plain.png")
    scene.save(top / "photo.JPG")
    scene.convert("L").save(top / "grey.png")
    scene.convert("RGBA").save(top / "alpha.png")
    scene.save(top / "more/web.webp")
    Image.fromarray(np.asarray(scene.convert("L")).astype(np.uint16) * 257).save(top / "more/deep16.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    scene.save(top / "more/phone.jpg", exif=turned)
    (top / "notes.txt").write_text("not a picture")
    return top


def test_pictures_of_every_kind_are_what_the_segmenter_predicts(
    predict, photos: Path, models: Path, tmp_path: Path
) -> None:
    writer = cv2.VideoWriter(str(photos / "drive.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for number in range(6):
        writer.write(np.random.default_rng(number).integers(0, 256, (64, 96, 3), np.uint8))
    writer.release()
    outcome = predict(f"input={photos}", "output=out", "kinds=[ids,overlay]", "size=native")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("7 pictures and 1 video (6 frames) predicted in ")
    assert "1 file of other kinds left out" in outcome.err
    assert cv2.VideoCapture(str(tmp_path / "out/overlay/drive.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 6
    segmenter = load_segmenter(models / "camvid")
    assert len([path for path in (tmp_path / "out/ids").rglob("*.png") if "frames" not in str(path)]) == 7
    for source in (path for path in photos.rglob("*.*") if path.suffix not in (".txt", ".avi")):
        image = read_image(source)
        name = source.relative_to(photos).with_suffix(".png")
        ids = np.asarray(Image.open(tmp_path / "out/ids" / name))
        expected = segmenter.predict(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy()
        assert np.array_equal(ids, expected), name
        assert Image.open(tmp_path / "out/overlay" / name).size[0] >= image.shape[1]
    assert np.asarray(Image.open(tmp_path / "out/ids/more/phone.png")).shape == (96, 64)


def test_colours_are_the_datasets_whose_names_the_model_has(predict, photos: Path, tmp_path: Path) -> None:
    source = f"input={photos / 'plain.png'}"
    assert predict(source, "output=a", "kinds=[ids,colour]").code == 0
    ids = np.asarray(Image.open(tmp_path / "a/ids/plain.png"))
    colours = np.asarray(Image.open(tmp_path / "a/colour/plain.png"))
    assert np.array_equal(colours, np.array(CAMVID.palette, np.uint8)[ids])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a/ids/plain.png").convert("RGB")), colours)


def test_names_and_colours_can_be_given(predict, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("\n".join(f"class {i}: [9, 9, {i}]" for i in range(11)))
    source = f"input={photos / 'plain.png'}"
    assert predict(source, "output=e.png", "kinds=colour", "classes=mine.yaml").code == 0
    assert set(np.unique(np.asarray(Image.open(tmp_path / "e.png"))[..., 0])) == {9}
    refused = predict(source, "output=d", "classes=cityscapes").refused(NAME)
    assert "classes=cityscapes has 19 classes, but the model has 11 outputs" in refused


def test_nothing_is_overwritten_unasked(predict, photos: Path, tmp_path: Path) -> None:
    fixed = (f"input={photos / 'plain.png'}", "output=out", "kinds=ids")
    assert predict(*fixed).code == 0
    (tmp_path / "out/plain.png").write_bytes(b"mine")
    assert "1 of 1 outputs exist already, such as out/plain.png" in predict(*fixed).refused(NAME)
    assert "nothing to do" in predict(*fixed, "existing=skip").out
    assert (tmp_path / "out/plain.png").read_bytes() == b"mine"
    assert predict(*fixed, "overwrite=true").code == 0
    assert Image.open(tmp_path / "out/plain.png").mode == "P"
    assert predict(f"input={photos}", "output=out", "kinds=ids", "existing=skip").out.endswith(
        "; 1 were there already\n"
    )


def test_unreadable_pictures_are_listed_and_the_others_written(predict, photos: Path, tmp_path: Path) -> None:
    whole = (photos / "photo.JPG").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.png").touch()
    (photos / "bad\nname.png").write_bytes(b"no picture")
    Image.new("RGB", (64, 64)).save(photos / "good [red]\x1b[31m.png")
    outcome = predict(f"input={photos}", "output=out")
    assert outcome.code == 1
    assert outcome.out.startswith("8 pictures predicted")
    assert "3 of 11 inputs could not be predicted" in outcome.err
    for name, reason in (("cut.jpg", "truncated"), ("empty.png", "cannot read"), ("bad\\nname.png", "cannot read")):
        line = next(line for line in outcome.err.splitlines() if name in line)
        assert reason in line
    assert "Traceback" not in outcome.err
    assert len(list((tmp_path / "out").rglob("*.png"))) == 8


def test_two_models_side_by_side(predict, photos: Path, models: Path, tmp_path: Path) -> None:
    fixed = (f"input={photos / 'plain.png'}", "kinds=compare")
    assert predict(*fixed, "output=two.png", f"model2={models / 'streets'}").code == 0
    assert predict(*fixed, "output=one.png").code == 0
    assert Image.open(tmp_path / "two.png").size[0] - Image.open(tmp_path / "one.png").size[0] == 256 + 8


def test_ids_are_the_classes_that_are_scored(predict, photos: Path, models: Path, tmp_path: Path) -> None:
    (photos / "three.txt").write_text("plain.png\nmore/phone.jpg\ngrey.png\n")
    fixed = (f"input={photos / 'three.txt'}", "kinds=ids", "size=48", "batch_size=1", "inference=slide")
    assert "camvid predicts by windows of [48,48] pixels, [32,32] apart" in predict(*fixed, "output=squares").err
    outcome = predict(*fixed, "output=out", "crop=[40,56]", "stride=[24,33]", "scales=[0.75,1.0,1.5]", "flip=true")
    assert outcome.code == 0, outcome.err
    views = Inference((40, 56), (24, 33), (0.75, 1.0, 1.5), flip=True)
    segmenter = load_segmenter(models / "camvid").eval()
    for name, source in (("plain", "plain.png"), ("more/phone", "more/phone.jpg"), ("grey", "grey.png")):
        image = read_image(photos / source)
        own = image.shape[:2]
        seen, _ = evaluation(48)(image, np.zeros(own, np.uint8), 0)
        assert min(seen.shape[:2]) == 48
        scores = infer(segmenter, torch.from_numpy(seen).permute(2, 0, 1)[None], views)
        classes, _ = classes_and_labels(scores, torch.zeros(1, *own, dtype=torch.uint8), "label")
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"out/{name}.png")), classes[0].numpy())
        assert len(classes.unique()) > 1


def test_the_size_is_the_one_of_the_training_run(predict, photos: Path, models: Path, tmp_path: Path) -> None:
    run_folder = tmp_path / "runs/mine"
    run_folder.mkdir(parents=True)
    (run_folder / "config.yaml").write_text("student: {}\ndata: {name: camvid, root: gone, size: [48, 64]}\n")
    (run_folder / "student").symlink_to(models / "camvid")
    source = f"input={photos / 'plain.png'}"
    outcome = predict(source, "output=run.png", "kinds=ids", model=str(run_folder / "student"))
    assert "short side of 48 pixels, as " in outcome.err
    assert predict(source, "output=given.png", "kinds=ids", "size=48").code == 0
    assert predict(source, "output=native.png", "kinds=ids", "size=native", model=str(run_folder / "student")).code == 0
    ids = {name: np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("run", "given", "native")}
    assert np.array_equal(ids["run"], ids["given"])
    assert not np.array_equal(ids["run"], ids["native"])


def test_a_file_of_classes_for_one_size(predict, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"class_names": ["dark", "bright"], "palette": [[1, 2, 3], [250, 240, 9]]}
    red = partial(ClassIds, lambda images: images[:, 0] // 128, tmp_path / "classes.onnx", size=[64, 96], num_classes=2)
    monkeypatch.setattr("transkd.cli.predict.run.load_model", lambda *_, **__: red(**names))
    source = f"input={photos / 'plain.png'}"
    assert predict(source, "output=same.png", "kinds=ids").code == 0
    with Image.open(tmp_path / "same.png") as file:
        assert file.getpalette()[:6] == [1, 2, 3, 250, 240, 9]
        assert np.array_equal(np.asarray(file), np.asarray(Image.open(photos / "plain.png"))[..., 0] > 127)
    phone = f"input={photos / 'more/phone.jpg'}"
    assert predict(phone, "output=phone.png", "kinds=ids").code == 0
    assert Image.open(tmp_path / "phone.png").size == (64, 96)
    needing = ("kinds=confidence", "inference=slide", "crop=[64,96]", "scales=[0.5,1]", "flip=true")
    message = predict(source, "output=x.png", *needing).refused(NAME)
    assert "without scores, which confidences and inference=slide and scales=[0.5,1] and flip=true need" in message
    assert "export it again with result=logits" in message
    assert not (tmp_path / "x.png").exists()
    message = predict(source, "output=x.png", "size=128").refused(NAME)
    assert "takes images of [64,96] only: leave size and scales out" in message


def test_every_mistake_is_named(predict) -> None:
    first = predict(*["inptu=x", "kinds=[overlays,ids]", "size=7", "scales=[0,1]", "opacity=2"])
    first.refused(NAME)
    assert [line.partition(" (it is")[0] for line in sorted(first.lines)] == [
        "inptu: there is no such key; did you mean 'input'?",
        "input: is missing",
        "kinds: give one or more of overlay, colour, ids, compare, confidence",
        "opacity: give 1 or less",
        "output: is missing",
        "scales: give factors ([0.75, 1, 1.25])",
        "size: give a short side in pixels (512), [height, width], 32 or more, native, or null",
    ]
    both = "output=y crop=[64,64] kinds=ids classes=camvit model2=z existing=skip overwrite=true"
    second = predict("input=", *both.split())
    second.refused(NAME)
    assert [line.partition(":")[0] for line in second.lines] == [*("crop", "model2", "input", "overwrite", "classes")]


def test_what_is_not_there(predict, photos: Path, tmp_path: Path) -> None:
    assert "there is no such file or folder" in predict("input=gone", "output=y").refused(NAME)
    assert "gone" in predict(f"input={photos}", "output=out", model="gone/here").refused(NAME, code=1)
    message = predict(f"input={photos}", "output=out", "inference=slide").refused(NAME)
    assert "inference=slide on images of their own sizes needs the windows': crop=[512,512]" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_way_to_stop_ends_in_the_same_way(
    predict, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    (photos / "cut.bmp").write_bytes(b"no picture")
    monkeypatch.setattr(Progress, "advance", lambda *_: os.kill(os.getpid(), number))
    outcome = predict(f"input={photos}", "output=out", "batch_size=1")
    assert outcome.code == 128 + number
    assert "cut.bmp: cannot read this image" in outcome.err
    assert "existing=skip makes the others" in outcome.err
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers
    assert all(path.suffix == ".png" for path in (tmp_path / "out").rglob("*.*"))


@pytest.mark.parametrize("name", ["a b.png", "k=v, {t}[1].png", "über (2).png", "7", 'quo"te', "tail\\", "\\'.png"])
def test_paths_need_no_quotes_of_hydras(predict, tmp_path: Path, name: str) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / name, format="PNG")
    output = name.removesuffix(".png")
    assert predict(f"input={name}", f"output={output}.out", "kinds=ids").code == 0
    assert (tmp_path / f"{output}.out" / f"{output}.png").is_file()
