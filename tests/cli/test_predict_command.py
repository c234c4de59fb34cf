"""``transkd-predict``: pictures and videos of every kind, and refusals, as a person at a terminal meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from command_runs import Command, Outcome
from PIL import Image
from rich.progress import Progress

from transkd.data.classes import CAMVID, CITYSCAPES
from transkd.data.reading import read_image
from transkd.data.transforms import evaluation
from transkd.evaluation import classes_and_labels
from transkd.evaluation.inference import Inference, infer
from transkd.export import export_segmenter
from transkd.models import create_segmenter, load_segmenter
from transkd.models.exported import METADATA

NAME = "transkd-predict"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of segmenters: ``camvid`` and ``streets`` with datasets' class names, ``plain`` without."""
    folder = tmp_path_factory.mktemp("models")
    for name, names in (("camvid", CAMVID.names), ("plain", None), ("streets", CITYSCAPES.names)):
        torch.manual_seed(3)
        create_segmenter("mit_b0", len(names or range(7)), class_names=names).save_pretrained(folder / name)
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
    scene.convert("CMYK").save(top / "print.jpg")
    scene.quantize(16).save(top / "palette.png")
    scene.save(top / "more/scan.tif")
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
    outcome = predict(f"input={photos}", "output=out", "kinds=[ids,overlay]", "size=native")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("10 pictures predicted in ")
    assert "1 file of other kinds left out" in outcome.err
    segmenter = load_segmenter(models / "camvid")
    made = sorted(path.relative_to(tmp_path / "out/ids") for path in (tmp_path / "out/ids").rglob("*.png"))
    assert len(made) == 10
    for source in (path for path in photos.rglob("*.*") if path.name != "notes.txt"):
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
    assert predict(source, "output=b.png", "kinds=colour", model="streets").code == 0
    seen = {tuple(colour) for colour in np.asarray(Image.open(tmp_path / "b.png")).reshape(-1, 3).tolist()}
    assert seen <= set(CITYSCAPES.palette)


def test_names_and_colours_can_be_given(predict, photos: Path, tmp_path: Path) -> None:
    lines = [f"- {name}: [{10 * number}, 0, 200]" for number, name in enumerate("abcdefg")]
    (tmp_path / "mine.yaml").write_text("\n".join(line.removeprefix("- ") for line in lines))
    outcome = predict(
        f"input={photos / 'plain.png'}", "output=c.png", "kinds=colour", "classes=mine.yaml", model="plain"
    )
    assert outcome.code == 0, outcome.err
    assert set(np.unique(np.asarray(Image.open(tmp_path / "c.png"))[..., 2])) == {200}
    assert "classes: there is no file gone.yaml" in predict(
        f"input={photos}", "output=d", "classes=gone.yaml", model="plain"
    ).refused(NAME)
    refused = predict(f"input={photos}", "output=d", "classes=cityscapes", model="plain").refused(NAME)
    assert "classes=cityscapes has 19 classes, but the model has 7 outputs" in refused
    assert "did you mean 'camvid'?" in predict(f"input={photos}", "output=d", "classes=camvit").refused(NAME)


def test_names_that_differ_from_the_models_own_are_said(predict, photos: Path, tmp_path: Path) -> None:
    swapped = dict(zip(CAMVID.names, CAMVID.palette, strict=True))
    lines = [f"{name}: {list(swapped[name])}" for name in (*CAMVID.names[:2], *CAMVID.names[:1:-1])]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    source = f"input={photos / 'plain.png'}"
    outcome = predict(source, "output=e.png", "kinds=colour", "classes=mine.yaml")
    own, shown = CAMVID.names[2], CAMVID.names[-1]
    assert f"classes=mine.yaml: the model's class 2 is {own}, which is shown as {shown}" in outcome.err
    assert "which is shown as" not in predict(source, "output=f.png", "kinds=colour", "classes=camvid").err


def test_nothing_is_overwritten_unless_told(predict, photos: Path, tmp_path: Path) -> None:
    fixed = (f"input={photos / 'plain.png'}", "output=out", "kinds=ids")
    assert predict(*fixed).code == 0
    (tmp_path / "out/plain.png").write_bytes(b"mine")
    assert "1 of 1 outputs exist already, such as out/plain.png" in predict(*fixed).refused(NAME)
    assert "nothing to do" in predict(*fixed, "existing=skip").out
    assert (tmp_path / "out/plain.png").read_bytes() == b"mine"
    assert predict(*fixed, "overwrite=true").code == 0
    assert Image.open(tmp_path / "out/plain.png").mode == "P"
    assert "overwrite=true replaces what existing=skip keeps" in predict(
        *fixed, "existing=skip", "overwrite=true"
    ).refused(NAME)


def test_a_run_that_was_stopped_goes_on(predict, photos: Path, tmp_path: Path) -> None:
    assert predict(f"input={photos / 'more'}", "output=out/more", "kinds=ids").code == 0
    outcome = predict(f"input={photos}", "output=out", "kinds=ids", "existing=skip")
    assert outcome.out.startswith("6 pictures predicted")
    assert outcome.out.rstrip().endswith("written to out; 4 were there already")


def test_unreadable_pictures_are_listed_and_the_others_written(predict, photos: Path, tmp_path: Path) -> None:
    whole = (photos / "photo.JPG").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.png").touch()
    frames = [Image.new("L", (64, 64), value) for value in (0, 100, 200)]
    frames[0].save(photos / "moving.gif", save_all=True, append_images=frames[1:])
    outcome = predict(f"input={photos}", "output=out")
    assert outcome.code == 1
    assert outcome.out.startswith("10 pictures predicted")
    assert "3 of 13 inputs could not be predicted" in outcome.err
    for name, reason in (("cut.jpg", "truncated"), ("empty.png", "cannot read"), ("moving.gif", "3 frames")):
        line = next(line for line in outcome.err.splitlines() if name in line)
        assert reason in line
    assert "Traceback" not in outcome.err
    assert len(list((tmp_path / "out").rglob("*.png"))) == 10


def test_two_models_side_by_side(predict, photos: Path, models: Path, tmp_path: Path) -> None:
    fixed = (f"input={photos / 'plain.png'}", "kinds=compare")
    assert predict(*fixed, "output=two.png", f"model2={models / 'streets'}").code == 0
    assert predict(*fixed, "output=one.png").code == 0
    assert Image.open(tmp_path / "two.png").size[0] - Image.open(tmp_path / "one.png").size[0] == 256 + 8
    message = predict(f"input={photos}", "output=out", f"model2={models / 'streets'}").refused(NAME)
    assert "model2: a second model is drawn side by side only: kinds=[compare]" in message


def test_a_video_and_pictures_in_one_folder(predict, photos: Path, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(photos / "drive.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for number in range(6):
        writer.write(np.random.default_rng(number).integers(0, 256, (64, 96, 3), np.uint8))
    writer.release()
    outcome = predict(f"input={photos}", "output=out")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("10 pictures and 1 video (6 frames) predicted")
    assert cv2.VideoCapture(str(tmp_path / "out/drive.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 6
    whole = (photos / "drive.avi").read_bytes()
    (photos / "half.avi").write_bytes(whole[: 3 * len(whole) // 4])
    outcome = predict(f"input={photos / 'half.avi'}", "output=out")
    assert outcome.code == 1
    assert "half.avi: the video ends at frame " in outcome.err
    assert (tmp_path / "out/half.mp4").is_file()


def test_windows_see_what_the_whole_sees_where_one_covers_it(predict, photos: Path, tmp_path: Path) -> None:
    fixed = (f"input={photos / 'plain.png'}", "kinds=ids")
    assert predict(*fixed, "output=whole.png").code == 0
    assert predict(*fixed, "output=one.png", "inference=slide", "crop=[128,128]").code == 0
    assert predict(*fixed, "output=many.png", "inference=slide", "crop=[32,32]", "stride=[16,16]").code == 0
    whole, one, many = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("whole", "one", "many"))
    assert np.array_equal(whole, one)
    assert many.shape == whole.shape
    assert not np.array_equal(whole, many)


@pytest.mark.parametrize(
    ("arguments", "views"),
    [
        ([], Inference()),
        (["inference=slide"], Inference((48, 48))),
        (["flip=true"], Inference(flip=True)),
        (
            ["inference=slide", "crop=[40,56]", "stride=[24,33]", "scales=[0.75,1.0,1.5]", "flip=true"],
            Inference((40, 56), (24, 33), (0.75, 1.0, 1.5), flip=True),
        ),
    ],
)
def test_ids_are_the_classes_that_are_scored(
    predict, photos: Path, models: Path, tmp_path: Path, arguments: list[str], views: Inference
) -> None:
    (photos / "three.txt").write_text("plain.png\nmore/phone.jpg\ngrey.png\n")
    outcome = predict(f"input={photos / 'three.txt'}", "output=out", "kinds=ids", "size=48", "batch_size=1", *arguments)
    assert outcome.code == 0, outcome.err
    told = "camvid predicts by windows of [48,48] pixels, [32,32] apart"
    assert (told in outcome.err) == (arguments == ["inference=slide"])
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


def test_windows_need_a_size_where_pictures_keep_theirs(predict, photos: Path) -> None:
    message = predict(f"input={photos}", "output=out", "inference=slide").refused(NAME)
    assert "inference=slide on images of their own sizes needs the windows': crop=[512,512]" in message


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
    assert predict(source, "output=own.png", "kinds=ids").code == 0
    ids = {name: np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("run", "given", "native", "own")}
    assert np.array_equal(ids["run"], ids["given"])
    assert np.array_equal(ids["native"], ids["own"])
    assert not np.array_equal(ids["run"], ids["own"])


@pytest.mark.slow
def test_an_exported_file_predicts_what_its_source_does(predict, photos: Path, models: Path, tmp_path: Path) -> None:
    export_segmenter(models / "camvid", tmp_path / "student.pt2", "torch", size=(64, 96))
    source = f"input={photos / 'plain.png'}"
    assert predict(source, "output=torch.png", "kinds=ids").code == 0
    outcome = predict(source, "output=file.png", "kinds=ids", model=str(tmp_path / "student.pt2"))
    assert outcome.code == 0, outcome.err
    ids, theirs = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("file", "torch"))
    assert np.mean(ids == theirs) > 0.999
    message = predict(source, "output=x", "scales=[0.5,1]", model=str(tmp_path / "student.pt2")).refused(NAME)
    assert "student.pt2 takes images of [64,96] only, and scales are others: leave scales out" in message
    message = predict(source, "output=x", "precision=bf16", model=str(tmp_path / "student.pt2")).refused(NAME)
    assert "an exported file has its own" in message


def classes_file(path: Path) -> str:
    """Write an exported file for 64x96 pixels alone that gives classes: whether a pixel's red is above 127."""
    images = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ["batch", 3, 64, 96])
    classes = onnx.helper.make_tensor_value_info("classes", onnx.TensorProto.INT64, ["batch", 64, 96])
    constants = {"zero": np.array(0), "limit": np.array(127, np.float32)}
    steps = [
        onnx.helper.make_node("Gather", ["images", "zero"], ["red"], axis=1),
        onnx.helper.make_node("Cast", ["red"], ["value"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Greater", ["value", "limit"], ["bright"]),
        onnx.helper.make_node("Cast", ["bright"], ["classes"], to=onnx.TensorProto.INT64),
    ]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(steps, "red", [images], [classes], tensors)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    facts = {"num_classes": 2, "class_names": ["dark", "bright"], "palette": [[1, 2, 3], [250, 240, 9]]}
    facts |= {"result": "classes", "input": "uint8", "size": [64, 96]}
    onnx.helper.set_model_props(model, {METADATA: json.dumps(facts)})
    onnx.save(model, path)
    return str(path)


def test_a_file_of_classes_for_one_size(predict, photos: Path, tmp_path: Path) -> None:
    model = classes_file(tmp_path / "classes.onnx")
    source = f"input={photos / 'plain.png'}"
    assert predict(source, "output=same.png", "kinds=ids", model=model).code == 0
    with Image.open(tmp_path / "same.png") as file:
        assert file.getpalette()[:6] == [1, 2, 3, 250, 240, 9]
        assert np.array_equal(np.asarray(file), np.asarray(Image.open(photos / "plain.png"))[..., 0] > 127)
    phone = f"input={photos / 'more/phone.jpg'}"
    assert predict(phone, "output=phone.png", "kinds=ids", model=model).code == 0
    assert Image.open(tmp_path / "phone.png").size == (64, 96)
    message = predict(source, "output=x.png", "kinds=confidence", model=model).refused(NAME)
    assert "gives classes without scores, which confidences need" in message
    message = predict(
        source, "output=x.png", "inference=slide", "crop=[64,96]", "scales=[0.5,1]", "flip=true", model=model
    ).refused(NAME)
    assert (
        "classes.onnx gives classes without scores, which inference=slide and scales=[0.5,1] and flip=true" in message
    )
    assert "export it again with result=logits" in message
    assert not (tmp_path / "x.png").exists()
    message = predict(source, "output=x.png", "size=128", model=model).refused(NAME)
    assert "takes images of [64,96] only: leave size out" in message


def test_every_mistake_is_named(predict) -> None:
    message = predict("inptu=x", "kinds=[overlays,ids]", "size=7", "scales=[0,1]", "flip=2", "opacity=2").refused(NAME)
    assert "inptu: there is no such key; did you mean 'input'?" in message
    assert "input: is missing" in message
    assert "output: is missing" in message
    assert "kinds: give one or more of overlay, colour, ids, compare, confidence" in message
    assert "size: give a short side in pixels" in message
    assert "opacity: give 1 or less" in message
    assert "scales: give factors" in message
    assert "flip: give true or false" in message
    assert "crop: windows are for inference=slide" in predict("input=x", "output=y", "crop=[64,64]").refused(NAME)
    message = predict("input=x", "output=y", "inference=slide", "kinds=[ids,ids]").refused(NAME)
    assert "ids is given more than once" in message
    message = predict("input=x", "output=y", "inference=slide", "size=native").refused(NAME)
    assert "crop: inference=slide on images of their own sizes needs the windows': crop=[512,512]" in message
    message = predict("input=x", "output=y", "inference=slide", "size=[64,96]", "stride=[70,20]").refused(NAME)
    assert "stride: steps of [70, 20] leave gaps between windows of [64, 64]" in message
    assert "there is no such file or folder" in predict("input=gone", "output=y").refused(NAME)
    assert "input: is empty; '.' is the current folder" in predict("input=", "output=y").refused(NAME)


def test_names_with_line_breaks_and_control_signs_stay_in_their_line(predict, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("good [red]\x1b[31m.png", "bad\nname.png", os.fsdecode(b"bad\xff.png")):
        Image.new("RGB", (64, 64)).save(tmp_path / "in" / name)
        if "bad" in name:
            (tmp_path / "in" / name).write_bytes(b"no picture")
    outcome = predict("input=in", "output=out")
    assert outcome.code == 1
    assert (tmp_path / "out/good [red]\x1b[31m.png").is_file()
    assert "\n  in/bad\\nname.png: cannot read this image" in outcome.err
    assert "\n  in/bad\\udcff.png: cannot read this image" in outcome.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_way_to_stop_is_heeded_in_the_same_way(
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


@pytest.mark.parametrize(
    "name", ["a b.png", "x[1].png", "k=v, {t}.png", "über (2).png", "it's.png", "7", 'quo"te', "tail\\", "\\'.png"]
)
def test_paths_need_no_quotes_of_hydras(predict, tmp_path: Path, name: str) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / name, format="PNG")
    output = name.removesuffix(".png")
    assert predict(f"input={name}", f"output={output}.out", "kinds=ids").code == 0
    assert (tmp_path / f"{output}.out" / f"{output}.png").is_file()


def test_a_model_that_is_not_there(predict, photos: Path, tmp_path: Path) -> None:
    assert "gone" in predict(f"input={photos}", "output=out", model="gone/here").refused(NAME, code=1)
    assert not (tmp_path / "out").exists()


TRAINING = (
    "lightning",
    "pytorch_lightning",
    "albumentations",
    "torchmetrics",
    "transkd.training.run",
    "transkd.data.module",
)


@pytest.mark.slow
def test_a_picture_costs_no_training_dependency(models: Path, photos: Path, tmp_path: Path) -> None:
    arguments = [
        "transkd-predict",
        f"model={models / 'camvid'}",
        f"input={photos / 'plain.png'}",
        f"output={tmp_path / 'o'}",
    ]
    code = (
        f"import sys\nsys.argv = {arguments}\nfrom transkd.cli.app import main\n"
        "try:\n    main('transkd-predict')\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('IMPORTED', sorted(set({TRAINING}) & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 picture predicted" in done.stdout
    assert done.stdout.splitlines()[-1] == "IMPORTED []"
