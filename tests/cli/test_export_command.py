"""``transkd-export``: what a person sees, and what is refused before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_runs import Command, Outcome

from transkd.data.classes import CITYSCAPES
from transkd.models import create_segmenter
from transkd.models.exported import load_model


@pytest.fixture
def export(run: Command, teachers: Path):
    def call(*arguments: str, model: str = "b0") -> Outcome:
        return run(f"model={teachers / model}", *arguments, name="transkd-export")

    return call


def test_a_transformers_folder_is_compared_and_scored(export, drawn: Path, tmp_path: Path) -> None:
    data = ["data=synthetic", f"data.root={drawn}", "data.workers=0", "data.size=[64,128]", "data.val_batch_size=1"]
    outcome = export("format=huggingface", "output=out", *data)
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out/config.json").is_file()
    assert "97x129" in outcome.out
    assert "0.000 %" in outcome.out
    assert "every difference is within the tolerance of 0.0001" in outcome.out
    assert "exporting changes the mIoU by +0.00 points" in outcome.out
    assert "out exists already" in export("format=huggingface", "output=out").refused("transkd-export")


@pytest.mark.slow
def test_a_program_of_one_size(export, tmp_path: Path) -> None:
    options = ("dynamic=false", "size=[64,96]", "result=classes")
    assert export("format=torch", "output=deep/er/student.pt2", *options).code == 0
    model = load_model(tmp_path / "deep/er/student.pt2")
    assert (model.size, model.result, model.num_classes) == ((64, 96), "classes", 19)


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (
            "format=onxn precison=int8 size=[8,8]",
            [
                "format: there is no such choice; did you mean 'onnx'?",
                "precison: there is no such key; did you mean 'precision'?",
                "size: give [height, width] in pixels, 32 or more each",
            ],
        ),
        (
            "format=torch precision=int8 size=[64,64]",
            [
                "precision: int8 is for format=onnx",
                "calibration.images: int8 is calibrated on images of your own",
                "size: is for images of one size only: add dynamic=false",
            ],
        ),
        ("format=torch dynamic=false", ["size: dynamic=false needs the images' size"]),
    ],
)
def test_every_mistake_is_named(export, arguments: str, reported: list[str]) -> None:
    message = export("output=x", *arguments.split()).refused("transkd-export")
    assert all(f"  {line}" in message for line in reported), message


def test_a_dataset_of_other_classes_is_refused_before_exporting(export, drawn: Path, tmp_path: Path) -> None:
    data = ["data=synthetic", f"data.root={drawn}", "data.workers=0"]
    message = export("format=onnx", "output=x.onnx", *data, model="b1_11").refused("transkd-export")
    assert "has 11 outputs without names, but the dataset has 19 classes" in message
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.slow
def test_a_file_of_class_ids_is_scored_as_its_source_where_all_classes_are_the_datasets(
    export, drawn: Path, tmp_path: Path
) -> None:
    data = ["data=synthetic", f"data.root={drawn}", "data.workers=0", "data.size=[64,128]", "data.label_size=own"]
    ids = ("format=torch", "result=classes")
    outcome = export(*ids, "output=ids.pt2", *data)
    assert outcome.code == 0, outcome.err
    assert "exporting changes the mIoU by +0.00 points" in outcome.out
    create_segmenter("mit_b0", 20, class_names=[*CITYSCAPES.names, "other"]).save_pretrained(tmp_path / "more")
    message = export(*ids, "output=more.pt2", *data, model=str(tmp_path / "more")).refused("transkd-export")
    assert "more.pt2 gives class ids, not logits, and 1 of its classes are not the dataset's" in message
    assert not (tmp_path / "more.pt2").exists()


def test_a_place_that_cannot_be_written_is_one_message(export, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "nothing" in export("format=onnx", "output=x.onnx", model="nothing").refused("transkd-export", code=1)
    message = export("format=huggingface", "output=file/out").refused("transkd-export", code=1)
    assert "output: file/out cannot be written: " in message
    assert (tmp_path / "file").read_text() == "mine"
