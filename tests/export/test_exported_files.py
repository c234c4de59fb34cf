"""ONNX files and torch.export programs, against the segmenter they came from."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from transkd.data.classes import CAMVID
from transkd.errors import ExportError, WeightsError
from transkd.export import export_segmenter
from transkd.export.compare import find_images, read_batches, smooth_images
from transkd.export.onnx_format import to_fp16, to_int8
from transkd.models import load_segmenter
from transkd.models.exported import ExportedModel, OnnxModel, TorchProgram, load_model

ALONE = """
import sys
sys.modules["transkd"] = sys.modules["torch"] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
np.save(sys.argv[3], session.run(None, {"images": np.load(sys.argv[2])})[0])
"""


def logits_of(segmenter, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return functional.interpolate(segmenter(images), images.shape[2:], mode="bilinear")


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (101, 70)])
def test_any_batch_and_size_give_the_segmenters_logits(exported_onnx: Path, run_folder: Path, size) -> None:
    segmenter, model = load_segmenter(run_folder), load_model(exported_onnx)
    images = smooth_images(3, size)
    expected = logits_of(segmenter, images)
    assert torch.allclose(model(images), expected, atol=1e-4)
    assert torch.equal(model.predict(images), model(images).argmax(1))
    assert torch.allclose(model(images.float() / 255), expected, atol=1e-4)


def test_a_python_without_transkd_and_torch_runs_it(exported_onnx: Path, run_folder: Path, tmp_path: Path) -> None:
    images = smooth_images(2, (70, 90), seed=5)
    np.save(tmp_path / "in.npy", images.numpy())
    files = [str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    subprocess.run([sys.executable, "-I", "-c", ALONE, str(exported_onnx), *files], check=True)
    found = torch.from_numpy(np.load(tmp_path / "out.npy"))
    assert torch.allclose(found, logits_of(load_segmenter(run_folder), images), atol=1e-4)


def test_an_onnx_file_holds_its_provenance_and_no_path(exported_onnx: Path, run_folder: Path) -> None:
    model = onnx.load(exported_onnx)
    for value, channels in ((model.graph.input[0], 3), (model.graph.output[0], 11)):
        axes = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        assert axes == ["batch", channels, "height", "width"]
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata["class_names"] == list(CAMVID.names)
    assert [tuple(colour) for colour in metadata["palette"]] == list(CAMVID.palette)
    provenance = metadata["transkd"]["provenance"]
    assert provenance["run"]["miou"] == 0.46
    assert provenance["run"]["losses"] == {"csf": 1.0, "ea": 0.5}
    assert provenance["segmenter"]["backbone"] == "tiny"
    content = exported_onnx.read_bytes()
    for path in (str(run_folder), ".py", "site-packages", str(Path.home())):
        assert path.encode() not in content


@pytest.mark.slow
def test_a_program_gives_the_segmenters_classes_and_names_no_path(
    program: TorchProgram, exported_program: Path, run_folder: Path
) -> None:
    model = program
    assert (model.result, model.input_type, model.class_names) == ("classes", "float", CAMVID.names)
    for size in ((64, 96), (101, 130)):
        images = smooth_images(2, size)
        assert (model.predict(images) != load_segmenter(run_folder).predict(images)).float().mean() < 1e-3
    with zipfile.ZipFile(exported_program) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist() if "/weight_" not in name)
    for path in (str(Path(__file__).parents[2]), "site-packages", "graph.py"):
        assert path.encode() not in content


@pytest.mark.slow
def test_the_same_segmenter_gives_the_same_file(exported_onnx: Path, run_folder: Path, tmp_path: Path) -> None:
    again = export_segmenter(run_folder / "student", tmp_path / "again.onnx", "onnx").path
    assert again.read_bytes() == exported_onnx.read_bytes()


@pytest.mark.slow
def test_class_ids_of_float_images_at_one_size(run_folder: Path, tmp_path: Path) -> None:
    options = {"result": "classes", "input": "float", "size": (64, 96)}
    report = export_segmenter(run_folder, tmp_path / "ids.onnx", "onnx", **options)
    model, images = load_model(report.path), smooth_images(2, (64, 96))
    assert model.run(images.float() / 255).dtype == torch.uint8
    expected = load_segmenter(run_folder).predict(images)
    assert (model.predict(images) != expected).float().mean() < 1e-3
    with pytest.raises(ValueError, match="exported for images of 64x96, not 64x64"):
        model.predict(smooth_images(1, (64, 64)))


@pytest.mark.slow
def test_images_that_a_file_does_not_take(program: TorchProgram) -> None:
    model = copy.copy(program)
    with pytest.raises(ValueError, match="gives class ids, not logits: use predict"):
        model(smooth_images(1, (64, 96)))
    with pytest.raises(ValueError, match="too small"):
        model.predict(smooth_images(1, (16, 96)))
    model.size = (64, 96)
    with pytest.raises(ValueError, match="exported for images of 64x96, not 64x64"):
        model.predict(smooth_images(1, (64, 64)))


def test_sixteen_bits_keep_types_logits_and_description(exported_onnx: Path, tmp_path: Path) -> None:
    half = Path(shutil.copy(exported_onnx, tmp_path / "half.onnx"))
    to_fp16(half)
    large = [tensor for tensor in onnx.load(half).graph.initializer if np.prod(tensor.dims) > 64]
    assert sum(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in large) > 0.8 * len(large)
    assert half.stat().st_size < exported_onnx.stat().st_size
    images = smooth_images(2, (70, 96))
    full, found = load_model(exported_onnx), load_model(half)
    assert found(images).dtype == torch.float32
    assert found.class_names == full.class_names
    difference = (found(images) - full(images)).abs().max()
    assert 0 < difference < 0.02 * full(images).abs().max()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for number, image in enumerate(smooth_images(6, (80, 100), seed=9)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number}.{'png' if number % 2 else 'jpg'}")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_eight_bits_calibrated_on_a_folder(exported_onnx: Path, photographs: Path, tmp_path: Path) -> None:
    small = Path(shutil.copy(exported_onnx, tmp_path / "small.onnx"))
    assert [path.name for path in find_images(photographs, 3)] == ["0.jpg", "2.jpg", "4.jpg"]
    to_int8(small, read_batches(find_images(photographs, 4), None), as_float=False)
    quantised = onnx.load(small)
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in quantised.graph.node}
    large = [tensor for tensor in quantised.graph.initializer if np.prod(tensor.dims) > 64]
    assert sum(tensor.data_type == onnx.TensorProto.INT8 for tensor in large) > 0.5 * len(large)
    images = smooth_images(2, (80, 100), seed=9)
    full, found = load_model(exported_onnx), load_model(small)
    assert found.class_names == full.class_names
    difference = (found(images) - full(images)).abs().max()
    assert 0 < difference < 0.5 * full(images).abs().max()
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]


@pytest.mark.slow
def test_files_are_recognised_by_content_and_damage_is_found(
    exported_onnx: Path, exported_program: Path, tmp_path: Path
) -> None:
    renamed = Path(shutil.copy(exported_onnx, tmp_path / "renamed.bin"))
    model = load_model(renamed)
    assert isinstance(model, OnnxModel)
    assert isinstance(model, ExportedModel)
    assert model.num_classes == 11
    for source in (exported_onnx, exported_program):
        renamed.write_bytes(source.read_bytes()[:5000])
        with pytest.raises(WeightsError, match=renamed.name):
            load_model(renamed)
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.rand(1, 2),)), tmp_path / "other.pt2")
    with pytest.raises(WeightsError, match="not of a segmenter that transkd exported"):
        load_model(tmp_path / "other.pt2")


@pytest.mark.slow
def test_an_operator_without_translation_is_named(run_folder: Path, tmp_path: Path) -> None:
    segmenter = load_segmenter(run_folder)
    segmenter.head = nn.Sequential(Odd(), segmenter.head)
    with pytest.raises(ExportError, match=r"svd.* cannot be exported to ONNX.*dynamic=false size=\[H,W\]") as caught:
        export_segmenter(segmenter, tmp_path / "odd.onnx", "onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


class Odd(nn.Module):
    """Uses an operator that ONNX has not."""

    def forward(self, features):
        return [feature + torch.linalg.svdvals(feature[0, 0]).sum() for feature in features]
