"""Folders that transformers opens, their cards, and which scores belong to which weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoImageProcessor, SegformerForSemanticSegmentation

from transkd.data.classes import CAMVID
from transkd.errors import ConfigError, ExportError
from transkd.evaluation.comparison import module_digest
from transkd.export import export_segmenter, huggingface
from transkd.export.card import trace_provenance
from transkd.export.compare import smooth_images
from transkd.models import create_segmenter, load_segmenter


def test_transformers_opens_the_folder_with_the_students_classes_and_logits(mit_run: Path) -> None:
    processor = AutoImageProcessor.from_pretrained(mit_run / "out")
    theirs = SegformerForSemanticSegmentation.from_pretrained(mit_run / "out").eval()
    ours, back = load_segmenter(mit_run / "student"), load_segmenter(mit_run / "out")
    assert list(theirs.config.id2label.values()) == list(CAMVID.names) == list(back.class_names)
    images = smooth_images(1, (64, 96))
    normalised = torch.from_numpy((images.numpy() / 255 - ours.mean.numpy()) / ours.std.numpy()).float()
    with torch.no_grad():
        np.testing.assert_allclose(theirs(normalised).logits, ours(images), atol=1e-4)
        np.testing.assert_allclose(back(images), ours(images), atol=1e-4)
        logits = theirs(**processor(images=images[0].permute(1, 2, 0).numpy(), return_tensors="pt")).logits
    classes = functional.interpolate(logits, (64, 96), mode="bilinear").argmax(1)
    assert (classes != ours.predict(images)).float().mean() < 1e-3


def test_the_card_has_scores_protocol_and_command(mit_run: Path) -> None:
    card = (mit_run / "out/README.md").read_text()
    for text in (
        "| mIoU | 46.00 |",
        "| pole | absent |",
        '"resolution": "logit"',
        "losses: csf x 1, ea x 0.5",
        "teacher: runs/camvid_teacher-s0/model",
        "transkd-train +experiment=camvid_mitb0 seed=3",
        "SegformerForSemanticSegmentation.from_pretrained",
        "mean_iou",
        "value: 46.0",
    ):
        assert text in card, text


def test_a_student_that_is_no_segformer_has_no_such_folder(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"onnx|ONNX"):
        export_segmenter(run_folder, tmp_path / "out", "huggingface")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_past_its_tolerance_is_not_left_behind(mit_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"its logits differ by .* of the largest logit on .*; it is not kept"):
        export_segmenter(mit_run / "student", tmp_path / "out", "huggingface", tolerance=1e-12)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("refused", [False, True])
def test_pushing_uploads_the_folder_or_leaves_it(mit_run: Path, tmp_path: Path, monkeypatch, refused: bool) -> None:
    calls = []

    class Hub:
        def create_repo(self, repo_id, **options):
            if refused:
                raise OSError("no route to host")
            calls.append(repo_id)
            return f"https://hub.test/{repo_id}"

        def upload_folder(self, *, repo_id, folder_path, **options):
            calls.append(sorted(path.name for path in Path(folder_path).iterdir()))

    monkeypatch.setattr(huggingface, "HfApi", Hub)
    if refused:
        with pytest.raises(ExportError, match=r"push=me/student: the folder .*out is written, but could not be uploa"):
            export_segmenter(mit_run / "student", tmp_path / "out", "huggingface", push="me/student")
        assert (tmp_path / "out/model.safetensors").is_file()
        return
    report = export_segmenter(mit_run / "student", tmp_path / "out", "huggingface", push="me/student")
    assert report.pushed_to == "https://hub.test/me/student"
    assert calls == ["me/student", ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]]
    assert 'from_pretrained("me/student")' in (tmp_path / "out/README.md").read_text()


def test_scores_belong_to_the_weights_of_the_run(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    create_segmenter("tiny_teacher", 11).save_pretrained(tmp_path / "run/mine")
    student, other = load_segmenter(tmp_path / "run"), load_segmenter(tmp_path / "run/mine")
    assert trace_provenance(other, tmp_path / "run/mine")["run"] == {}
    assert trace_provenance(student, tmp_path / "run")["run"]["miou"] == 0.46
    results = json.loads((run_folder / "results.json").read_text())
    for sha256, found in ((module_digest(student), 0.46), ("0" * 64, None)):
        (tmp_path / "run/results.json").write_text(json.dumps(results | {"weights_sha256": sha256}))
        assert trace_provenance(student, tmp_path / "run/student")["run"].get("miou") == found
