"""A training run from config to results: what its folder holds, and that its numbers are true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from rich.console import Console
from tiny_runs import DISTILLED, rows, state
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.classification import multiclass_accuracy

import transkd
from transkd.data import CITYSCAPES, SceneDataModule
from transkd.models.formats.published import checkpoint_weights
from transkd.runs.checkpoints import read_checkpoint
from transkd.training.run import train


def listing(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def results_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def independent_scores(
    segmenter: torch.nn.Module, scenes: Path, resolution: str = "label"
) -> tuple[float, float, dict[str, float]]:
    """Scores by torchmetrics' Jaccard over the labelled pixels, classes that never occur left out."""
    predicted, labelled = [], []
    segmenter.eval()
    for item in SceneDataModule("cityscapes", scenes, size=[64, 64]).val_dataset:
        image, label = item["image"][None], item["label"].long()
        if resolution == "label":
            ids = segmenter.predict(image)[0]
        else:
            with torch.no_grad():
                ids = segmenter(image)[0].argmax(0)
            picture = Image.fromarray(label.byte().numpy()).resize((16, 16), Image.Resampling.NEAREST)
            label = torch.from_numpy(np.array(picture)).long()
        predicted.append(ids[label != 255])
        labelled.append(label[label != 255])
    preds, target = torch.cat(predicted), torch.cat(labelled)
    iou = MulticlassJaccardIndex(19, average=None)(preds, target)
    occur = torch.bincount(torch.cat([preds, target]), minlength=19) > 0
    accuracy = multiclass_accuracy(preds, target, 19, average="micro")
    names = [name for name, seen in zip(CITYSCAPES.names, occur, strict=True) if seen]
    return float(iou[occur].mean()), float(accuracy), dict(zip(names, iou[occur].tolist(), strict=True))


def test_the_folder_of_a_run(distilled, supervised):
    files = listing(distilled)
    pictures = {name for name in files if name.startswith("predictions/")}
    always = {".lock", "config.yaml", "metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt", "results.json"}
    saved = {"config.json", "model.safetensors", "README.md"}
    assert files - pictures == always | {f"student/{name}" for name in saved}
    assert listing(supervised) == always | {f"model/{name}" for name in saved}
    assert len(pictures) == 2
    with Image.open(distilled / min(pictures)) as picture:
        assert picture.width > 4 * 384  # image, label, teacher, student


def test_the_config_composes_the_same_run_again(run, lean, distilled, tmp_path):
    values = yaml.safe_load((distilled / "config.yaml").read_text())
    assert values == run.config(distilled, *DISTILLED, "pictures=2")
    train({**values, "output": str(tmp_path / "again")}, console=Console(quiet=True))
    assert state(tmp_path / "again") == state(distilled)
    assert rows(tmp_path / "again") == rows(distilled)
    names = ("miou", "pixel_accuracy", "per_class", "params", "protocol", "weights_sha256")
    again, first = results_of(tmp_path / "again"), results_of(distilled)
    assert {k: again[k] for k in names} == {k: first[k] for k in names}


@pytest.mark.parametrize("name", ["distilled", "supervised"])
def test_results_are_those_of_the_saved_segmenter(name, request, scenes_root):
    folder = request.getfixturevalue(name)
    results = results_of(folder)
    segmenter = transkd.load_segmenter(folder)
    miou, accuracy, per_class = independent_scores(segmenter, scenes_root)
    assert (results["miou"], results["pixel_accuracy"]) == pytest.approx((miou, accuracy), abs=1e-6)
    assert set(results["per_class"]) == set(CITYSCAPES.names)
    assert {k: v for k, v in results["per_class"].items() if v is not None} == pytest.approx(per_class, abs=1e-6)
    assert results["params"] == sum(p.numel() for p in segmenter.parameters())
    assert 0 < results["gmacs"] < 1
    checkpoint = read_checkpoint(folder / f"checkpoints/{results['checkpoint']['chosen']}.ckpt")
    assert results["checkpoint"]["epoch"] == checkpoint["epoch"]
    saved, chosen = segmenter.state_dict(), checkpoint_weights(checkpoint)
    assert all(torch.equal(saved[k], chosen[k]) for k in saved)


def test_results_say_how_they_were_made(distilled, supervised):
    results = results_of(distilled)
    assert results["protocol"] == {
        "dataset": "cityscapes",
        "split": "val",
        "input_size": [64, 64],
        "resolution": "label",
        "label_size": "image",
        "inference": "whole",
        "crop": None,
        "stride": None,
        "scales": [1.0],
        "flip": False,
        "options": {},
        "images": None,
    }
    assert (results["distillation"], results["teacher"], results["data"]["count"]) == ("transkd_ea", "random", 5)
    assert results["weights_from"] == {"student": "random weights", "teacher": "random weights"}
    assert results["losses"] == {"csf": 1.0, "ea": 1.0}
    assert results["checkpoint"]["chosen"] == "best"
    assert (results_of(supervised)["teacher"], results_of(supervised)["checkpoint"]["chosen"]) == (None, "last")
    cost = results["distillation_cost"]
    module = transkd.DistillModule("tiny", transkd.create_segmenter("tiny_teacher", 19), {"csf": 1.0, "ea": 1.0})
    assert cost["adapter_parameters"] == sum(p.numel() for p in module.losses.parameters())
    assert 0 < cost["adapter_gmacs"] < 0.1
    assert cost["measured_steps"] == 3  # of eight, the first five left out
    assert 0 < cost["losses_share"] < 1 - cost["teacher_share"] < 1
    assert set(results["first_steps"]) == {"ce", "csf", "ea"}
    assert all(facts["gradient_norm"] > 0 for facts in results["first_steps"].values())
    assert not {"distillation_cost", "first_steps"} & set(results_of(supervised))


def test_what_a_run_of_epochs_took(distilled):
    training = results_of(distilled)["training"]
    assert (training["stopped_by"], training["steps"], training["epochs"], training["images"]) == ("epochs", 8, 2, 24)
    assert 0 < training["validation_seconds"] < training["seconds"]
    pace = training["images"] / (training["seconds"] - training["validation_seconds"])
    assert training["images_per_second"] == pytest.approx(pace, rel=0.2)
    assert training["peak_memory_is"] == "resident set of the first process"
    assert 100 < training["peak_memory_mb"] < 100_000
    scores = [float(row["val/miou"]) for row in rows(distilled) if row["val/miou"]]
    best = {"miou": pytest.approx(max(scores), abs=1e-7), "epoch": scores.index(max(scores))}
    assert training["best_validation"] == best


def test_every_term_is_logged_and_sums_up_to_the_loss(distilled):
    logged = [row for row in rows(distilled) if row["train/loss"]]
    assert [row["step"] for row in logged] == [str(step) for step in range(8)]
    assert len({row["train/loss"] for row in logged}) == 8
    assert [row["step"] for row in rows(distilled) if row["val/miou"]] == ["3", "7"]
    assert [row["step"] for row in rows(distilled) if row["final/miou"]] == ["8"]  # of the saved model
    for row in logged:
        terms = [float(row[f"train/{name}"]) for name in ("ce", "csf", "ea")]
        assert sum(terms) == pytest.approx(float(row["train/loss"]), rel=1e-5)
        assert float(row["train/grad_norm"]) > 0
    rates = [float(row["train/lr"]) for row in logged]
    assert rates == sorted(rates, reverse=True)
    header = (distilled / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/images_per_s", "train/data_wait", "train/weight/csf", "val/iou/road"} <= set(header)


@pytest.mark.parametrize("select", ["best", pytest.param("last", marks=pytest.mark.slow)])
def test_the_average_is_validated_and_saved(run, tmp_path, lean, scenes_root, select):
    """The learning rate is far too high, so that the last average is not the best."""
    options = ("ema_decay=0.5", "optimizer.lr=0.1", "trainer.max_epochs=3")
    results = run(tmp_path / "run", *options, f"checkpoint.select={select}")
    checkpoint = read_checkpoint(tmp_path / f"run/checkpoints/{select}.ckpt")
    average = checkpoint["callbacks"]["StudentEMA"]["average"]
    saved = transkd.load_segmenter(tmp_path / "run")
    raw = {k.removeprefix("segmenter."): v for k, v in checkpoint["state_dict"].items()}
    for name, value in saved.state_dict().items():
        assert torch.equal(value, average[f"module.{name}"]), name
    assert any(not torch.equal(raw[name], value) for name, value in saved.state_dict().items())
    validated = {row["epoch"]: float(row["val/miou"]) for row in rows(tmp_path / "run") if row["val/miou"]}
    score = independent_scores(saved, scenes_root)[0]
    assert results["miou"] == pytest.approx(score, abs=1e-6)
    assert validated[str(checkpoint["epoch"])] == pytest.approx(score, abs=1e-6)
    if select == "best":
        assert checkpoint["epoch"] < 2, "the best was the last: this shows nothing"


@pytest.mark.slow
def test_results_are_scored_without_the_low_precision_of_training(run, lean, scenes_root, tmp_path):
    options = ("trainer.precision=bf16-mixed", "trainer.max_epochs=1", "channels_last=false")
    results = run(tmp_path / "run", *options)
    saved = transkd.load_segmenter(tmp_path / "run")
    miou, accuracy, _ = independent_scores(saved, scenes_root)
    assert (results["miou"], results["pixel_accuracy"]) == pytest.approx((miou, accuracy), abs=1e-7)
    logged = rows(tmp_path / "run")
    in_training = [float(row["val/pixel_accuracy"]) for row in logged if row["val/pixel_accuracy"]]
    assert len(in_training) == 1
    assert in_training[0] != pytest.approx(accuracy, abs=1e-7)
    final = [float(row["final/pixel_accuracy"]) for row in logged if row["final/pixel_accuracy"]]
    assert final == pytest.approx([accuracy], abs=1e-7)
    assert results["training"]["precision"] == "bf16-mixed"
    assert {p.dtype for p in saved.parameters()} == {torch.float32}


def test_the_papers_objective_scores_at_the_logits(run, tmp_path, lean, scenes_root):
    results = run(tmp_path / "run", "objective=paper", "augment=paper", "schedule=paper", "optimizer=paper")
    assert results["protocol"]["resolution"] == "logit"
    miou, accuracy, _ = independent_scores(transkd.load_segmenter(tmp_path / "run"), scenes_root, "logit")
    assert (results["miou"], results["pixel_accuracy"]) == pytest.approx((miou, accuracy), abs=1e-6)
    rates = [float(row["train/lr"]) for row in rows(tmp_path / "run") if row["train/loss"]]
    assert rates[0] == pytest.approx(6e-5)
    assert rates[4] == pytest.approx(6e-5 * (1 - 1 / 1500))


@pytest.mark.slow
def test_without_validation(run, tmp_path, lean):
    results = run(tmp_path / "run", "trainer.limit_val_batches=0", "trainer.max_epochs=1", "pictures=2")
    assert (results["miou"], results["pixel_accuracy"], results["per_class"]) == (None, None, {})
    assert results["checkpoint"]["chosen"] == "last"
    assert not (tmp_path / "run/checkpoints/best.ckpt").exists()
    assert state(tmp_path / "run")["callbacks"]["RunCheckpoints"] == {"best_score": None, "best_epoch": None}
    assert (tmp_path / "run/model/model.safetensors").is_file()


@pytest.mark.slow
def test_student_and_teacher_from_runs_and_part_of_the_split(run, distilled, supervised, tmp_path, lean):
    before = (supervised / "model/model.safetensors").read_bytes()
    teacher = ("distillation=transkd_base", "teacher.backbone=tiny", f"teacher.weights={supervised}")
    still = ("optimizer.lr=0", "optimizer.weight_decay=0", "trainer.max_epochs=1", "trainer.limit_val_batches=1")
    results = run(tmp_path / "run", f"student.weights={distilled}", *teacher, *still)
    start, end = transkd.load_segmenter(distilled), transkd.load_segmenter(tmp_path / "run")
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), end.parameters(), strict=True))
    assert (supervised / "model/model.safetensors").read_bytes() == before
    assert results["protocol"]["images"] == 3


def test_what_is_printed_before_and_after(distilled):
    text = distilled.with_name("printed.txt").read_text()
    assert "teacher 'tiny_teacher' has RANDOM weights: it teaches nothing" in text
    student = sum(p.numel() for p in transkd.create_segmenter("tiny", 19).parameters())
    assert f"{student:,}" in text
    assert "1→1 (8→16)  2→2 (12→24)  3→3 (16→32)  4→4 (24→48)" in text
    assert "Loss terms in the first 3 steps" in text
    assert "mIoU" in text
    assert f"segmenter    {distilled}/student" in text
