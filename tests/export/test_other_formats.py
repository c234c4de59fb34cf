"""torch.export programs and transformers' folders, and what is refused before anything is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from clear_cut_segmenter import clear_cut
from torch.nn import functional
from transformers import AutoImageProcessor, SegformerForSemanticSegmentation

from transkd.data.classes import CAMVID
from transkd.errors import ConfigError, ExportError, WeightsError
from transkd.evaluation.comparison import module_digest
from transkd.export import export_segmenter, huggingface
from transkd.export.card import trace_provenance
from transkd.export.compare import smooth_images
from transkd.models import load_segmenter
from transkd.models.exported import ExportedModel, OnnxModel, TorchProgram, load_model

ALONE = """
import sys
sys.modules["transkd"] = None
import numpy as np, torch
from transformers import SegformerForSemanticSegmentation
model = SegformerForSemanticSegmentation.from_pretrained(sys.argv[1]).eval()
with torch.no_grad():
    np.save(sys.argv[3], model(torch.from_numpy(np.load(sys.argv[2]))).logits.numpy())
"""


def test_a_program_gives_the_segmenters_classes(exported_program: Path, run_folder: Path) -> None:
    model = load_model(exported_program)
    assert isinstance(model, TorchProgram)
    assert (model.result, model.input_type, model.class_names) == ("classes", "float", CAMVID.names)
    for size in ((64, 96), (101, 130)):
        images = smooth_images(2, size)
        assert (model.predict(images) != load_segmenter(run_folder).predict(images)).float().mean() < 1e-3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    segmenter = clear_cut("mit_b0")
    run = tmp_path_factory.mktemp("run")
    segmenter.save_pretrained(run / "student")
    (run / "config.yaml").write_text("name: camvid\n")
    results = {"miou": 0.46, "pixel_accuracy": 0.88, "per_class": {"sky": 0.9, "pole": None}, "image_size": [64, 96]}
    protocol = {"protocol": {"dataset": "camvid", "split": "val", "resolution": "logit", "input_size": 512}}
    made = {"distillation": "transkd_ea", "teacher": "runs/t/model", "losses": {"csf": 1.0, "ea": 0.5}, "seed": 3}
    command = {"command": "transkd-train +experiment=camvid_mitb0 seed=3"}
    costs = {"backbone": "mit_b0", "params": 1, "gmacs": None, "data": {"count": 1, "sha256": ""}}
    (run / "results.json").write_text(json.dumps(results | protocol | made | command | costs))
    export_segmenter(run / "student", run / "out", "huggingface")
    return run


def test_transformers_opens_the_folder_without_transkd(folder: Path, tmp_path: Path) -> None:
    images = smooth_images(2, (64, 96))
    model = load_segmenter(folder / "student")
    normalised = (images.float() / 255 - model.mean) / model.std
    np.save(tmp_path / "in.npy", normalised.numpy())
    files = [str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    subprocess.run([sys.executable, "-c", ALONE, str(folder / "out"), *files], check=True, capture_output=True)
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(np.load(tmp_path / "out.npy")), model(images), atol=1e-4)


def test_its_image_processor_does_what_the_student_was_trained_on(folder: Path) -> None:
    processor = AutoImageProcessor.from_pretrained(folder / "out")
    theirs = SegformerForSemanticSegmentation.from_pretrained(folder / "out").eval()
    assert list(theirs.config.id2label.values()) == list(CAMVID.names)
    images = smooth_images(1, (64, 96))
    inputs = processor(images=images[0].permute(1, 2, 0).numpy(), return_tensors="pt")
    with torch.no_grad():
        logits = functional.interpolate(theirs(**inputs).logits, (64, 96), mode="bilinear")
    assert (logits.argmax(1) != load_segmenter(folder / "student").predict(images)).float().mean() < 1e-3


def test_the_card_says_scores_protocol_and_command(folder: Path) -> None:
    card = (folder / "out/README.md").read_text()
    for said in (
        "| mIoU | 46.00 |",
        "| pole | absent |",
        '"resolution": "logit"',
        "losses: csf x 1, ea x 0.5",
        "teacher: runs/t/model",
        "transkd-train +experiment=camvid_mitb0 seed=3",
        "SegformerForSemanticSegmentation.from_pretrained",
        "mean_iou",
        "value: 46.0",
    ):
        assert said in card, said


def test_our_own_loader_takes_the_folder_back(folder: Path) -> None:
    images = smooth_images(1, (70, 90))
    ours, back = load_segmenter(folder / "student"), load_segmenter(folder / "out")
    assert back.class_names == CAMVID.names
    with torch.no_grad():
        assert torch.allclose(back(images), ours(images), atol=1e-4)


def test_a_student_that_is_no_segformer_has_no_such_folder(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"onnx|ONNX"):
        export_segmenter(run_folder, tmp_path / "out", "huggingface")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unasked(folder: Path, tmp_path: Path) -> None:
    student = folder / "student"
    with pytest.raises(ConfigError, match=r"out exists already; choose another, or overwrite=true"):
        export_segmenter(student, folder / "out", "huggingface")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="is no huggingface export"):
        export_segmenter(student, tmp_path / "mine", "huggingface", overwrite=True)
    with pytest.raises(ConfigError, match="is no onnx export"):
        export_segmenter(student, tmp_path / "mine", "onnx", overwrite=True)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"
    export_segmenter(student, folder / "out", "huggingface", overwrite=True)


def test_a_folder_past_its_tolerance_is_not_left_behind(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"its logits differ by .* of the largest logit on .*; it is not kept"):
        export_segmenter(folder / "student", tmp_path / "out", "huggingface", tolerance=1e-12)
    assert list(tmp_path.iterdir()) == []


def test_options_that_do_not_go_together_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        export_segmenter("nowhere", tmp_path / "x", "torch", precision="int8", push="me/it")
    for said in ("precision: int8 is for format=onnx", "calibration.images: int8 is calibrated", "push: goes with"):
        assert said in str(caught.value)
    with pytest.raises(ConfigError, match="result: transformers' folders have no such choice"):
        export_segmenter("nowhere", tmp_path / "x", "huggingface", result="classes")


def test_pushing_uploads_the_folder_and_says_where(folder: Path, tmp_path: Path, monkeypatch) -> None:
    calls = []

    class Hub:
        def create_repo(self, repo_id, **options):
            calls.append(repo_id)
            return f"https://hub.test/{repo_id}"

        def upload_folder(self, *, repo_id, folder_path, **options):
            calls.append(sorted(path.name for path in Path(folder_path).iterdir()))

    monkeypatch.setattr(huggingface, "HfApi", Hub)
    report = export_segmenter(folder / "student", tmp_path / "out", "huggingface", push="me/student")
    assert report.pushed_to == "https://hub.test/me/student"
    assert calls == ["me/student", ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]]
    assert 'from_pretrained("me/student")' in (tmp_path / "out/README.md").read_text()


def test_a_hub_that_refuses_leaves_the_folder_and_says_so(folder: Path, tmp_path: Path, monkeypatch) -> None:
    class Hub:
        def create_repo(self, repo_id, **options):
            raise OSError("no route to host")

    monkeypatch.setattr(huggingface, "HfApi", Hub)
    with pytest.raises(ExportError, match=r"push=me/it: the folder .*out is written, but could not be uploaded"):
        export_segmenter(folder / "student", tmp_path / "out", "huggingface", push="me/it")
    assert (tmp_path / "out/model.safetensors").is_file()


def test_files_are_told_by_content(exported_onnx: Path, exported_program: Path, tmp_path: Path) -> None:
    for source, kind in ((exported_onnx, OnnxModel), (exported_program, TorchProgram)):
        renamed = tmp_path / f"{kind.__name__}.bin"
        renamed.write_bytes(source.read_bytes())
        model = load_model(renamed)
        assert isinstance(model, kind)
        assert isinstance(model, ExportedModel)
        assert model.num_classes == 11


def test_damaged_and_foreign_files(exported_onnx: Path, exported_program: Path, tmp_path: Path) -> None:
    for source in (exported_onnx, exported_program):
        cut = tmp_path / f"cut{source.suffix}"
        cut.write_bytes(source.read_bytes()[:5000])
        with pytest.raises(WeightsError, match=cut.name):
            load_model(cut)
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.rand(1, 2),)), tmp_path / "other.pt2")
    with pytest.raises(WeightsError, match="not of a segmenter that transkd exported"):
        load_model(tmp_path / "other.pt2")


def test_other_weights_beside_a_run_are_not_credited_with_its_scores(folder: Path) -> None:
    clear_cut("mit_b1").save_pretrained(folder / "mine")
    assert trace_provenance(load_segmenter(folder / "mine"), folder / "mine").run == {}
    assert trace_provenance(load_segmenter(folder), folder).run["miou"] == 0.46


def test_scores_belong_to_the_weights_whose_hash_the_run_noted(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "student", tmp_path / "student")
    shutil.copy(folder / "config.yaml", tmp_path)
    student = load_segmenter(tmp_path / "student")
    results = json.loads((folder / "results.json").read_text()) | {"weights_sha256": module_digest(student)}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert trace_provenance(student, tmp_path / "student").run["miou"] == 0.46
    (tmp_path / "results.json").write_text(json.dumps(results | {"weights_sha256": "0" * 64}))
    assert trace_provenance(student, tmp_path / "student").run == {}
