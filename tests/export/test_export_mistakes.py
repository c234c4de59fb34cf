"""What a user gets wrong in an export: one message, and no file of theirs lost."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from transkd.errors import ConfigError, DataError, ExportError, WeightsError
from transkd.export import export_segmenter
from transkd.export.compare import check_differences, compare, read_batches
from transkd.export.graph import ExportGraph
from transkd.export.onnx_format import to_int8
from transkd.models import create_segmenter, load_segmenter


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "onxn"}, "format: there is no such choice 'onxn'; did you mean 'onnx'?"),
        ({"precision": "fp8"}, "precision: there is no such choice 'fp8'"),
        ({"input": "int32"}, "input: there is no such choice 'int32'"),
        ({"result": "clases"}, "result: there is no such choice 'clases'; did you mean 'classes'?"),
        ({"presicion": "fp16"}, "presicion: there is no such option; did you mean 'precision'?"),
        ({"size": (8, 8)}, r"size: give \(height, width\) in pixels, 32 or more each, not \(8, 8\)"),
        ({"size": 512}, "size: give .* not 512"),
        ({"size": (64.5, 64)}, "size: give"),
        ({"calibration_size": (64, 8)}, "calibration.size: give"),
        ({"calibration_count": 0}, "calibration.count: is at least 1, not 0"),
        ({"tolerance": float("nan")}, "tolerance: is a number of at least 0, not nan"),
        ({"tolerance": -1.0}, "tolerance: is a number of at least 0"),
    ],
)
def test_options_that_do_not_exist_or_fit(run_folder: Path, tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        export_segmenter(run_folder, tmp_path / "x", **{"format": "onnx", **options})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match=r"output: .*file/x.pt2 cannot be written: (Not a directory|File exists)"):
        export_segmenter(run_folder, tmp_path / "file/x.pt2", "torch")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_with_other_things_in_it_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_text("the only copy")
    with pytest.raises(ConfigError, match="is no huggingface export, so overwrite=true does not replace it"):
        export_segmenter("nowhere", tmp_path, "huggingface", overwrite=True)
    assert (tmp_path / "pytorch_model.bin").read_text() == "the only copy"


def test_a_model_is_not_replaced_by_its_own_export(run_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "hf"
    source.mkdir()
    (source / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"output: .*hf is the model itself; choose another"):
        export_segmenter(source, tmp_path / "." / "hf", "huggingface", overwrite=True)
    assert source.is_dir()


def test_what_is_no_segmenter_and_no_path(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="loaded from a path or a hub id, not from a Linear"):
        export_segmenter(torch.nn.Linear(2, 2), tmp_path / "x", "torch")
    with pytest.raises(WeightsError, match="not from a NoneType"):
        load_segmenter(None)
    with pytest.raises(WeightsError, match="cannot be read: File name too long"):
        load_segmenter("x" * 5000)


def test_class_ids_past_256_classes_are_not_cut_off() -> None:
    segmenter = create_segmenter("tiny", 300).eval()
    with torch.no_grad():
        segmenter.head.classifier.get_parameter("bias")[299] = 100
    graph = ExportGraph(segmenter, "uint8", "classes")
    classes = graph(graph.example(1, 32, 32))
    assert classes.unique().tolist() == [299]
    assert ExportGraph(create_segmenter("tiny", 256), "uint8", "classes")(graph.example(1, 32, 32)).dtype == torch.uint8


def test_logits_that_are_not_finite_pass_nowhere(run_folder: Path) -> None:
    segmenter = load_segmenter(run_folder)
    graph = ExportGraph(segmenter, "uint8", "logits")
    images = [graph.example(1, 32, 32)]
    broken = compare(graph, lambda x: torch.full((1, 11, 32, 32), torch.nan), images)
    with pytest.raises(ExportError, match=r"logits differ by inf .*; it is not kept. Use precision=fp32, or allow"):
        check_differences(broken, "fp32", None, "Use precision=fp32")
    graph.head.classifier.get_parameter("bias").data[0] = torch.nan
    with pytest.raises(ExportError, match="the source itself gives NaN or infinite logits"):
        compare(graph, graph, images)


def test_calibration_images_that_cannot_be_used(exported_onnx: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "small.png")
    with pytest.raises(DataError, match=r"small.png has 20x40 pixels, and a side needs 32 or more.*calibration.size"):
        list(read_batches([tmp_path / "small.png"], None))
    assert next(read_batches([tmp_path / "small.png"], (32, 64))).shape == (1, 3, 32, 64)
    (tmp_path / "broken.png").write_bytes(b"no image")
    copy = Path(shutil.copy(exported_onnx, tmp_path / "copy.onnx"))
    with pytest.raises(DataError, match=r"^\S*broken.png: cannot read this image"):
        to_int8(copy, read_batches([tmp_path / "broken.png"], None), as_float=False)


def test_missing_calibration_images_are_told_before_anything_is_loaded(tmp_path: Path) -> None:
    options = {"precision": "int8", "calibration": str(tmp_path / "photos")}
    with pytest.raises(DataError, match=r"photos is not a folder; give one with images of your own"):
        export_segmenter(tmp_path / "no-such-model", tmp_path / "student.onnx", "onnx", **options)


def test_a_program_names_no_path_of_the_machine(exported_program: Path) -> None:
    with zipfile.ZipFile(exported_program) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist() if "/weight_" not in name)
    for place in (str(Path(__file__).parents[2]), "site-packages", "graph.py"):
        assert place.encode() not in content
