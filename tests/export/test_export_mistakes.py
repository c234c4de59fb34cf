"""What a user gets wrong in an export: one message, and no file of theirs lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from transkd.errors import ConfigError, DataError, ExportError, WeightsError
from transkd.export import export_segmenter
from transkd.export.compare import check_differences, compare, find_images, read_batches
from transkd.export.graph import ExportGraph
from transkd.export.onnx_format import to_int8
from transkd.models import create_segmenter, load_segmenter


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        ({"format": "onxn"}, ["format: there is no such choice; did you mean 'onnx'?"]),
        ({"result": "clases"}, ["result: there is no such choice; did you mean 'classes'?"]),
        ({"presicion": "fp16"}, ["presicion: there is no such key; did you mean 'precision'?"]),
        ({"size": (8, 64)}, ["size.0: give 32 or more (it is 8)"]),
        ({"size": 512}, ["size: give a list (it is 512)"]),
        ({"calibration_size": (64, 64.5)}, ["calibration_size.1: give a whole number (it is 64.5)"]),
        ({"calibration_count": 0}, ["calibration_count: give 1 or more (it is 0)"]),
        ({"tolerance": float("nan")}, ["tolerance: give"]),
        ({"tolerance": -1.0}, ["tolerance: give 0 or more"]),
        (
            {"format": "torch", "precision": "int8", "push": "me/it"},
            ["precision: int8 is for format=onnx", "calibration.images: int8 is calibrated", "push: goes with"],
        ),
        ({"format": "huggingface", "result": "classes"}, ["result: transformers' folders have no such choice"]),
    ],
)
def test_options_that_do_not_exist_or_fit(tmp_path: Path, options: dict, reasons: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        export_segmenter("nowhere", tmp_path / "x", **{"format": "onnx", **options})
    assert not [reason for reason in reasons if reason not in str(caught.value)], caught.value
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_the_users_is_overwritten(mit_run: Path, tmp_path: Path) -> None:
    student = mit_run / "student"
    with pytest.raises(ConfigError, match=r"out exists already; choose another, or overwrite=true"):
        export_segmenter(student, mit_run / "out", "huggingface")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/preprocessor_config.json").write_text("{}")
    (tmp_path / "mine/pytorch_model.bin").write_text("the only copy")
    (tmp_path / "thesis.txt").write_text("years of work")
    for target, format in (("mine", "huggingface"), ("mine", "onnx"), ("thesis.txt", "onnx")):
        with pytest.raises(ConfigError, match=f"is no {format} export, so overwrite=true does not replace it"):
            export_segmenter(student, tmp_path / target, format, overwrite=True)
    assert (tmp_path / "mine/pytorch_model.bin").read_text() == "the only copy"
    with pytest.raises(ConfigError, match=r"output: .*out is the model itself; choose another"):
        export_segmenter(mit_run / "out", mit_run / "student" / ".." / "out", "huggingface", overwrite=True)
    with pytest.raises(ExportError, match=r"output: .*x.pt2 cannot be written: (Not a directory|File exists)"):
        export_segmenter(student, tmp_path / "thesis.txt/x.pt2", "torch")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    export_segmenter(student, mit_run / "out", "huggingface", overwrite=True)


def test_what_is_no_segmenter(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="loaded from a path or a hub id, not from a Linear"):
        export_segmenter(torch.nn.Linear(2, 2), tmp_path / "x", "torch")


def test_class_ids_past_256_classes_are_not_cut_off() -> None:
    segmenter = create_segmenter("tiny", 300).eval()
    with torch.no_grad():
        segmenter.head.classifier.get_parameter("bias")[299] = 100
    graph = ExportGraph(segmenter, "uint8", "classes")
    classes = graph(graph.example(1, 32, 32))
    assert classes.unique().tolist() == [299]
    assert ExportGraph(create_segmenter("tiny", 256), "uint8", "classes")(graph.example(1, 32, 32)).dtype == torch.uint8


def test_logits_that_are_not_finite_pass_nowhere(run_folder: Path) -> None:
    graph = ExportGraph(load_segmenter(run_folder), "uint8", "logits")
    images = [graph.example(1, 32, 32)]
    broken = compare(graph, lambda x: torch.full((1, 11, 32, 32), torch.nan), images)
    with pytest.raises(ExportError, match=r"logits differ by inf .*; it is not kept. Use precision=fp32, or allow"):
        check_differences(broken, "fp32", None, "Use precision=fp32")
    graph.head.classifier.get_parameter("bias").data[0] = torch.nan
    with pytest.raises(ExportError, match="the source itself gives NaN or infinite logits"):
        compare(graph, graph, images)


def test_calibration_images_that_cannot_be_used(exported_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        find_images(tmp_path, 3)
    Image.new("RGB", (40, 20)).save(tmp_path / "small.png")
    with pytest.raises(DataError, match=r"small.png has 20x40 pixels, and a side needs 32 or more.*calibration.size"):
        list(read_batches([tmp_path / "small.png"], None))
    assert next(read_batches([tmp_path / "small.png"], (32, 64))).shape == (1, 3, 32, 64)
    (tmp_path / "broken.png").write_bytes(b"no image")
    copy = Path(shutil.copy(exported_onnx, tmp_path / "copy.onnx"))
    with pytest.raises(DataError, match=r"^\S*broken.png: cannot read this image"):
        to_int8(copy, read_batches([tmp_path / "broken.png"], None), as_float=False)
    options = {"precision": "int8", "calibration": str(tmp_path / "photos")}
    with pytest.raises(DataError, match=r"photos is not a folder; give one with images of your own"):
        export_segmenter(tmp_path / "no-such-model", tmp_path / "student.onnx", "onnx", **options)
