"""``transkd-eval``: scores, files and refusals, as a person at a terminal meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command_runs import Command, Outcome
from PIL import Image

from transkd.cli.eval.config import ProtocolConfig
from transkd.data import build_dataset
from transkd.data.classes import CITYSCAPES
from transkd.evaluation.evaluate import evaluate
from transkd.export import export_segmenter
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.exported import ExportedModel

SIZE_NOTE = "; data.size=[32,64] scores as it was trained"


@pytest.fixture
def score(run: Command, drawn: Path, teachers: Path):
    def call(*arguments: str, model: str = "b0", root: Path = drawn, size: str | None = "[64,128]") -> Outcome:
        fixed = ["data=synthetic", f"data.root={root}", "workers=0", "batch_size=1", "resamples=50"]
        if size is not None:
            fixed.append(f"data.size={size}")
        return run(f"model={teachers / model}", *fixed, *arguments, name="transkd-eval")

    return call


def test_scores_pages_and_pictures_are_left_in_a_folder(score, drawn: Path, teachers: Path, tmp_path: Path) -> None:
    outcome = score("output=out", "pictures=1")
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "out/scores.json").read_text())
    model = load_segmenter(teachers / "b0")
    right = labelled = 0
    dataset = build_dataset("cityscapes", drawn, "val")
    for item in (dataset[0], dataset[1]):
        kept = item["label"] != 255
        right += int((model.predict(item["image"][None])[0] == item["label"])[kept].sum())
        labelled += int(kept.sum())
    assert report["pixel_accuracy"] == pytest.approx(right / labelled)
    assert report["protocol"]["name"] == "full"
    assert report["protocol"]["resolution"] == "label"
    assert report["data"]["count"] == report["images"] == 2
    assert len(report["model"]["sha256"]) == 64
    assert set(report["per_category"]) <= {"flat", "construction", "object", "nature", "sky", "human", "vehicle"}
    assert report["category_miou"] > report["miou"]
    assert f"{100 * report['miou']:.2f}" in outcome.out
    assert f"| mIoU | {100 * report['miou']:.2f} |" in (tmp_path / "out/scores.md").read_text()
    assert Image.open(tmp_path / "out/confusion.png").size[0] > 300
    assert len(list((tmp_path / "out/best").iterdir())) == len(list((tmp_path / "out/worst").iterdir())) == 1


def test_the_papers_protocol_and_windows_say_so(score, tmp_path: Path) -> None:
    small = ("protocol=paper", "protocol.size=64", "pictures=0", "boundary=false")
    outcome = score("output=paper", *small, size=None)
    assert outcome.code == 0
    assert "protocol paper, size 64: input short side 64; scored at a quarter of the input" in outcome.out
    report = json.loads((tmp_path / "paper/scores.json").read_text())
    assert (report["protocol"]["name"], report["protocol"]["resolution"]) == ("paper, size 64", "logit")
    assert report["boundary_iou"] is None
    windows = ("inference=slide", "crop=[64,64]", "stride=[64,32]", "scales=[0.75,1]", "flip=true")
    assert score("output=slide", "pictures=0", *windows).code == 0
    protocol = json.loads((tmp_path / "slide/scores.json").read_text())["protocol"]
    assert (protocol["inference"], protocol["crop"], protocol["stride"]) == ("slide", [64, 64], [64, 32])
    assert (protocol["scales"], protocol["flip"]) == ([0.75, 1.0], True)


def test_windows_are_squares_of_the_short_side_and_folders_tell_evaluations_apart(score, tmp_path: Path) -> None:
    fast = ("pictures=0", "boundary=false")
    assert score(*fast).code == 0
    assert score(*fast, "inference=slide", "flip=true", "scales=[0.75,1]").code == 0
    plain, slide = sorted(path.name for path in (tmp_path / "evaluations").iterdir())
    assert plain.endswith("-b0-cityscapes-val-full-64x128")
    assert slide == f"{plain}-slide-flip-scales0.75_1"
    assert score(*fast, "inference=slide", "crop=[32,64]", "stride=[32,32]").code == 0
    assert (tmp_path / "evaluations" / f"{plain}-slide-crop32x64-stride32x32").is_dir()
    protocol = json.loads((tmp_path / "evaluations" / slide / "scores.json").read_text())["protocol"]
    assert (protocol["crop"], protocol["stride"]) == ([64, 64], [42, 42])


def test_a_folder_with_scores_is_replaced_only_when_told(score, tmp_path: Path) -> None:
    assert score("output=out", "pictures=0").code == 0
    assert "out exists already" in score("output=out").refused("transkd-eval", code=2)
    (tmp_path / "out/notes.txt").write_text("kept")
    (tmp_path / "out/best").mkdir()
    (tmp_path / "out/best/09-of-the-last-time.png").touch()
    assert "no such path" in score("output=out", "overwrite=true", model="nothing").refused("transkd-eval", code=1)
    assert (tmp_path / "out/scores.json").exists()
    assert score("output=out", "pictures=0", "overwrite=true").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "confusion.png",
        "notes.txt",
        "scores.json",
        "scores.md",
    ]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    message = score("output=mine", "overwrite=true").refused("transkd-eval", code=2)
    assert "holds no scores of transkd" in message
    assert (tmp_path / "mine/thesis.txt").exists()


def test_a_model_of_other_classes_is_refused_with_their_names(score, tmp_path: Path) -> None:
    names = [*CITYSCAPES.names[:-1], "sofa"]
    create_segmenter("mit_b0", 19, class_names=names).save_pretrained(tmp_path / "sofas")
    message = score("output=out", model=str(tmp_path / "sofas")).refused("transkd-eval", code=2)
    assert "has other classes than the dataset: it has no 'bicycle'" in message
    assert "has 11 outputs without names" in score("output=out", model="b1_11").refused("transkd-eval", code=2)


def test_outputs_in_another_order_score_the_same(score, teachers: Path, tmp_path: Path) -> None:
    model = load_segmenter(teachers / "b0")
    order = torch.randperm(19, generator=torch.Generator().manual_seed(0))
    shuffled = create_segmenter("mit_b0", 19, class_names=[CITYSCAPES.names[i] for i in order])
    state = model.state_dict()
    for name in ("head.classifier.weight", "head.classifier.bias"):
        state[name] = state[name][order]
    shuffled.load_state_dict(state)
    shuffled.save_pretrained(tmp_path / "shuffled")
    assert (
        score("output=a", "pictures=0").code
        == score("output=b", "pictures=0", model=str(tmp_path / "shuffled")).code
        == 0
    )
    one, other = (json.loads((tmp_path / f"{name}/scores.json").read_text()) for name in "ab")
    assert one["per_class"] == other["per_class"]


def test_every_mistake_is_named(score) -> None:
    message = score("inferense=slide", "crop=[10,20]", "scales=[]", "flip=maybe").refused("transkd-eval")
    assert "inferense: there is no such key; did you mean 'inference'?" in message
    assert "crop: give [height, width] in pixels, 32 or more each" in message
    assert "scales: give factors ([0.75, 1, 1.25])" in message
    assert "flip: give true or false" in message
    message = score("inference=slide", "protocol.size=native").refused("transkd-eval")
    assert "inference=slide on images of their own sizes needs the windows': crop=[512,512]" in message
    message = score("inference=slide", "crop=[64,64]", "stride=[65,10]").refused("transkd-eval")
    assert "leave gaps between windows" in message
    assert "windows are for inference=slide" in score("crop=[64,64]").refused("transkd-eval")


def test_keys_that_would_do_nothing_say_what_to_set_instead(score) -> None:
    ignored = ("data.label_size=image", "data.batch_size=1", "protocol=paper")
    assert score(*ignored).refused("transkd-eval").splitlines()[1:] == [
        "  data.label_size: has no effect here; use protocol.label_size=image",
        "  data.batch_size: has no effect here; use batch_size=1",
        "  data.size: has no effect here; use protocol.size=[64,128]",
    ]


def test_a_changed_protocol_is_not_called_by_the_name_of_the_unchanged_one() -> None:
    def title(name: str, size: int | tuple[int, int] | None, resolution: str, label_size: str) -> str:
        return ProtocolConfig(name=name, size=size, resolution=resolution, label_size=label_size).title

    assert title("paper", 512, "logit", "image") == "paper"
    assert title("paper", (256, 512), "logit", "own") == "paper, size 256x512, label_size own"
    assert title("full", None, "label", "own") == "full"
    assert title("full", 512, "label", "own") == "full"  # whose input size is the data's
    assert title("full", None, "logit", "own") == "full, resolution logit"
    assert title("my own", 64, "label", "image") == "my own"


class ClassIds(ExportedModel):
    """What an exported file of class ids is to the command, without the export."""

    def __init__(self, segmenter: Segmenter, file: Path) -> None:
        file.touch()
        super().__init__(file, {"num_classes": 19, "result": "classes", "input": "uint8"})
        self.segmenter = segmenter

    def run(self, images: torch.Tensor) -> torch.Tensor:
        return self.segmenter.predict(images)


def test_a_file_of_class_ids_scores_what_its_source_scores(score, teachers: Path, tmp_path: Path, monkeypatch) -> None:
    fast = ("pictures=1", "boundary=false")
    assert score("output=own", *fast).code == 0
    model = ClassIds(load_segmenter(teachers / "b0"), tmp_path / "ids.onnx")
    monkeypatch.setattr("transkd.cli.eval.run.load_model", lambda _: model)
    assert score("output=ids", *fast).code == 0
    ids, own = (json.loads((tmp_path / f"{name}/scores.json").read_text()) for name in ("ids", "own"))
    assert ids["miou"] == own["miou"]
    message = score("output=x", "flip=true").refused("transkd-eval", code=2)
    assert "gives class ids, not logits, and windows, scales and flip average logits" in message
    message = score("output=x", "format=cityscapes").refused("transkd-eval", code=2)
    assert "cannot be brought to the images' own sizes" in message


def test_an_image_too_small_for_the_model_is_named(score, scenes: Path) -> None:
    file = next((scenes / "gtFine/val").rglob("*.png"))
    image = next((scenes / "leftImg8bit/val").rglob(f"{file.name.partition('_gtFine')[0]}_*"))
    for path in (file, image):
        with Image.open(path) as opened:
            opened.crop((0, 0, 40, 20)).save(path)
    message = score(root=scenes, size="native").refused("transkd-eval", code=1)
    assert f"{image}: 20x40 pixels, and the model needs 32 a side" in message


def test_what_to_score_on_has_to_be_said(run: Command, teachers: Path) -> None:
    message = run(f"model={teachers / 'b0'}", name="transkd-eval").refused("transkd-eval")
    assert "data: is missing" in message
    assert "split" not in message
    message = run(f"model={teachers / 'b0'}", "data=camvdi", name="transkd-eval").refused("transkd-eval")
    assert "data=camvdi: there is no such choice; did you mean 'camvid'?" in message
    assert "is missing" not in message


def test_a_place_that_cannot_be_written_shows_before_anything_is_scored(score, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("transkd.cli.eval.run.evaluate", lambda *_, **__: pytest.fail("scored"))
    (tmp_path / "file").touch()
    message = score("output=file/out").refused("transkd-eval", code=2)
    assert "file/out cannot be written (Not a directory): choose another output=…" in message


def test_a_fault_of_reading_is_not_told_as_one_of_writing(score, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no shared memory is left")

    monkeypatch.setattr("transkd.cli.eval.run.evaluate", full)
    with pytest.raises(OSError, match="no shared memory is left"):
        score("output=out")
    monkeypatch.setattr("transkd.cli.eval.run.evaluate", evaluate)
    monkeypatch.setattr("transkd.cli.eval.run.write_scores", full)
    message = score("output=out").refused("transkd-eval", code=2)
    assert "out cannot be written (no shared memory is left)" in message


def test_names_of_classes_are_printed_as_they_are(run: Command, tmp_path: Path) -> None:
    for kind, values in (("images", np.zeros((64, 64, 3), np.uint8)), ("masks", np.zeros((64, 64), np.uint8))):
        for name in ("a", "b"):
            (tmp_path / "own" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / "own" / kind / f"{name}.png")
    names = [":car:", "[bold]sky"]
    create_segmenter("mit_b0", 2, class_names=names).save_pretrained(tmp_path / "two")
    (tmp_path / "own/classes.yaml").write_text(json.dumps(names))
    arguments = ("data=folder", "data.root=own", "data.size=64", "workers=0", "output=out", "pictures=0")
    outcome = run(f"model={tmp_path / 'two'}", *arguments, name="transkd-eval")
    assert outcome.code == 0, outcome.err
    assert all(name in outcome.out for name in names)


def test_a_split_without_labels_has_no_scores(score, scenes: Path, tmp_path: Path) -> None:
    for file in (scenes / "gtFine/val").rglob("*.png"):
        Image.fromarray(np.full((64, 128), 255, np.uint8)).save(file)
    message = score("output=out", root=scenes).refused("transkd-eval", code=1)
    assert "no pixel of the val split of cityscapes is labelled" in message
    assert not (tmp_path / "out/scores.json").exists()


@pytest.mark.slow
def test_an_exported_file_has_the_precision_that_it_was_exported_with(score, teachers: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    export_segmenter(teachers / "b0", tmp_path / "half.onnx", "onnx", precision="fp16", size=(64, 128))
    outcome = score("output=out", "pictures=0", "boundary=false", model=str(tmp_path / "half.onnx"))
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("precision fp16") == 1
    report = json.loads((tmp_path / "out/scores.json").read_text())
    assert (report["precision"], report["model"]["file"]) == ("fp16", "half.onnx")
    paper = ("output=paper", "protocol=paper", "protocol.size=[64,128]")
    message = score(*paper, model=str(tmp_path / "half.onnx"), size=None)
    assert "score the segmenter that was exported" in message.refused("transkd-eval", code=2)


def test_ctrl_c_ends_in_a_line(score, tmp_path: Path, monkeypatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("transkd.cli.eval.run.evaluate", stopped)
    assert "stopped before it was done" in score("output=out").refused("transkd-eval", code=130)
    assert not list((tmp_path / "out").iterdir())


def test_a_device_that_is_not_there(score) -> None:
    assert "device=cuda:9 is not there" in score("device=cuda:9").refused("transkd-eval", code=2)


@pytest.mark.parametrize(("size", "noted"), [("[64,128]", True), ("[32,64]", False), ("48", True)])
def test_a_size_that_is_not_the_runs_is_told(
    run: Command, drawn: Path, teachers: Path, tmp_path: Path, size: str, noted: bool
) -> None:
    model = Path(shutil.copytree(teachers / "b0", tmp_path / "run/student"))
    config = {"data": {"name": "cityscapes", "root": str(drawn), "size": [32, 64]}, "student": {"backbone": "mit_b0"}}
    (model.parent / "config.yaml").write_text(yaml.safe_dump(config))
    fixed = ["data=synthetic", f"data.root={drawn}", "workers=0", "resamples=0", "pictures=0", "boundary=false"]
    outcome = run(f"model={model}", *fixed, f"data.size={size}", "output=out", name="transkd-eval")
    assert outcome.code == 0, outcome.err
    shown = {"[64,128]": "64x128", "48": "a short side of 48"}.get(size, "")
    assert (f"trained at 32x64 ({model.parent}/config.yaml), scored here at {shown}{SIZE_NOTE}" in outcome.out) == noted
    assert ("as it was trained" in outcome.out) == noted
