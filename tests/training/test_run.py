"""A training run from config to results: what its folder holds, and that its numbers are true."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from rich.console import Console
from runs import rows, state, weights
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.classification import multiclass_accuracy

import transkd
from transkd.data import CITYSCAPES, SceneDataModule
from transkd.runs.checkpoints import read_checkpoint
from transkd.training import SegmentationModule
from transkd.training.run import train

RESULTS = {"miou", "pixel_accuracy", "per_class", "protocol", "params", "gmacs"}


@pytest.fixture(scope="module")
def distilled(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("distilled") / "run"
    run(folder, "distillation=transkd_ea", "pictures=2")
    return folder


@pytest.fixture(scope="module")
def supervised(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("supervised") / "run"
    run(folder, "data.batch_size=6", "checkpoint.select=last")
    return folder


def listing(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name[0] != "."}


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def independent_scores(
    segmenter: torch.nn.Module, scenes: Path, resolution: str
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


def test_a_distillations_folder(distilled):
    files = listing(distilled)
    pictures = {name for name in files if name.startswith("predictions/")}
    assert files - pictures == {
        "config.yaml",
        "metrics.csv",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "student/config.json",
        "student/model.safetensors",
        "student/README.md",
        "results.json",
    }
    assert len(pictures) == 2
    assert all(name.endswith(".png") for name in pictures)
    with Image.open(distilled / min(pictures)) as picture:
        assert picture.width > 4 * 384  # image, label, teacher, student


def test_a_supervised_runs_folder_holds_a_model(supervised):
    files = listing(supervised)
    assert {"model/config.json", "model/model.safetensors", "results.json", "config.yaml", "metrics.csv"} <= files
    assert not any(name.startswith(("student/", "predictions/")) for name in files)


def test_no_temporary_files_stay(distilled):
    assert {p.name for p in distilled.rglob(".*")} == {".lock"}


def test_the_config_composes_the_same_run_again(run, distilled, tmp_path):
    values = OmegaConf.to_container(OmegaConf.load(distilled / "config.yaml"))
    assert values == run.config(distilled, "distillation=transkd_ea", "pictures=2")
    train({**values, "output": str(tmp_path / "again"), "pictures": 0}, console=Console(quiet=True))
    assert weights(tmp_path / "again") == weights(distilled)


@pytest.mark.parametrize("folder", ["distilled", "supervised"])
def test_results_are_those_of_the_saved_segmenter(folder, request, scenes_root):
    folder = request.getfixturevalue(folder)
    results = results_of(folder)
    segmenter = transkd.load_segmenter(folder)
    miou, accuracy, per_class = independent_scores(segmenter, scenes_root, "label")
    assert results["miou"] == pytest.approx(miou, abs=1e-6)
    assert results["pixel_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert set(results["per_class"]) == set(CITYSCAPES.names)
    assert {k: v for k, v in results["per_class"].items() if v is not None} == pytest.approx(per_class, abs=1e-6)
    assert results["params"] == sum(p.numel() for p in segmenter.parameters())
    assert 0 < results["gmacs"] < 1


def test_results_say_how_they_were_made(distilled, supervised):
    results = results_of(distilled)
    assert set(results) >= RESULTS
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
    assert results["distillation"] == "transkd_ea"
    assert results["teacher"] == "random"
    assert results["data"]["count"] == 5
    assert results["weights_from"] == {"student": "random weights", "teacher": "random weights"}
    assert results["losses"] == {"csf": 1.0, "ea": 1.0}
    assert results["training"]["steps"] == 8
    assert results_of(supervised)["teacher"] is None


def test_results_say_what_the_losses_cost_and_did_at_first(distilled, supervised):
    results = results_of(distilled)
    cost = results["distillation_cost"]
    module = transkd.DistillModule("tiny", transkd.create_segmenter("tiny_teacher", 19), {"csf": 1.0, "ea": 1.0})
    assert cost["adapter_parameters"] == sum(p.numel() for p in module.losses.parameters())
    assert 0 < cost["adapter_gmacs"] < 0.1
    assert cost["measured_steps"] == 3  # of eight, the first five left out
    assert 0 < cost["losses_share"] < 1 - cost["teacher_share"] < 1
    assert set(results["first_steps"]) == {"ce", "csf", "ea"}
    assert all(facts["gradient_norm"] > 0 for facts in results["first_steps"].values())
    assert not {"distillation_cost", "first_steps"} & set(results_of(supervised))


def test_the_best_checkpoint_is_what_is_saved(distilled):
    checkpoint = read_checkpoint(distilled / "checkpoints/best.ckpt")
    scores = {int(row["epoch"]): float(row["val/miou"]) for row in rows(distilled) if row["val/miou"]}
    assert checkpoint["epoch"] == max(scores, key=scores.get)
    assert results_of(distilled)["miou"] == pytest.approx(max(scores.values()), abs=1e-6)
    saved = transkd.load_segmenter(distilled).state_dict()
    assert all(torch.equal(saved[k], checkpoint["state_dict"][f"segmenter.{k}"]) for k in saved)


def test_results_are_scored_without_the_low_precision_of_training(run, lean, scenes_root, tmp_path):
    results = run(tmp_path / "run", "trainer.precision=bf16-mixed", "trainer.max_epochs=1", "distillation=none")
    miou, accuracy, _ = independent_scores(transkd.load_segmenter(tmp_path / "run"), scenes_root, "label")
    assert (results["miou"], results["pixel_accuracy"]) == pytest.approx((miou, accuracy), abs=1e-7)
    logged = rows(tmp_path / "run")
    in_training = [float(row["val/pixel_accuracy"]) for row in logged if row["val/pixel_accuracy"]]
    assert len(in_training) == 1
    assert in_training[0] != pytest.approx(accuracy, abs=1e-7)
    final = [float(row["final/pixel_accuracy"]) for row in logged if row["final/pixel_accuracy"]]
    assert final == pytest.approx([accuracy], abs=1e-7)
    assert results["training"]["precision"] == "bf16-mixed"


def test_the_last_checkpoint_is_saved_where_asked_for(supervised):
    checkpoint = read_checkpoint(supervised / "checkpoints/last.ckpt")
    saved = transkd.load_segmenter(supervised).state_dict()
    assert all(torch.equal(saved[k], checkpoint["state_dict"][f"segmenter.{k}"]) for k in saved)
    assert results_of(supervised)["checkpoint"] == {"chosen": "last", "epoch": 1}


def test_the_saved_student_is_bare(distilled):
    keys = set(transkd.load_segmenter(distilled).state_dict())
    assert keys == set(transkd.create_segmenter("tiny", 19).state_dict())


def test_no_checkpoint_knows_the_teacher(distilled):
    """State dict, optimiser and callbacks hold student and adapters: every tensor is accounted for."""
    checkpoint = read_checkpoint(distilled / "checkpoints/last.ckpt")
    assert {name.split(".")[0] for name in checkpoint["state_dict"]} == {"segmenter", "losses"}
    states = checkpoint["optimizer_states"][0]["state"]
    module = transkd.DistillModule("tiny", transkd.create_segmenter("tiny_teacher", 19), {"csf": 1, "ea": 1})
    expected = sorted(tuple(p.shape) for p in module.parameters())
    assert sorted(tuple(s["exp_avg"].shape) for s in states.values()) == expected


def test_every_term_is_logged_and_sums_up_to_the_loss(distilled):
    with (distilled / "metrics.csv").open() as file:
        logged = [row for row in csv.DictReader(file) if row["train/loss"]]
    assert len(logged) == 8
    for row in logged:
        terms = [float(row[f"train/{name}"]) for name in ("ce", "csf", "ea")]
        assert sum(terms) == pytest.approx(float(row["train/loss"]), rel=1e-5)
        assert float(row["train/grad_norm"]) > 0
        assert float(row["train/images_per_s"]) > 0
        assert 0 <= float(row["train/data_wait"]) <= 1
    rates = [float(row["train/lr"]) for row in logged]
    assert rates[0] == pytest.approx(5e-4 * 7 / 8) or rates[0] == pytest.approx(5e-4)
    assert rates == sorted(rates, reverse=True)


def test_the_same_command_twice_is_bitwise_the_same_run(run, distilled, tmp_path, lean):
    run(tmp_path / "run", "distillation=transkd_ea", "pictures=2")
    assert state(tmp_path / "run") == state(distilled)
    assert rows(tmp_path / "run") == rows(distilled)
    names = ("miou", "pixel_accuracy", "per_class", "params", "protocol")
    again, first = results_of(tmp_path / "run"), results_of(distilled)
    assert {k: again[k] for k in names} == {k: first[k] for k in names}


def test_another_seed_is_another_run(run, distilled, tmp_path, lean):
    run(tmp_path / "run", "distillation=transkd_ea", "seed=1", "trainer.max_epochs=1")
    assert rows(tmp_path / "run")[0]["train/ce"] != rows(distilled)[0]["train/ce"]


@pytest.mark.parametrize("select", ["best", "last"])
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
    score = independent_scores(saved, scenes_root, "label")[0]
    assert results["miou"] == pytest.approx(score, abs=1e-6)
    assert validated[str(checkpoint["epoch"])] == pytest.approx(score, abs=1e-6)
    if select == "best":
        assert checkpoint["epoch"] < 2, "the best was the last: this shows nothing"


def test_the_papers_objective_scores_at_the_logits(run, tmp_path, lean, scenes_root):
    results = run(tmp_path / "run", "objective=paper", "augment=paper", "schedule=paper", "optimizer=paper")
    assert results["protocol"]["resolution"] == "logit"
    miou, accuracy, _ = independent_scores(transkd.load_segmenter(tmp_path / "run"), scenes_root, "logit")
    assert results["miou"] == pytest.approx(miou, abs=1e-6)
    assert results["pixel_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    rates = [float(row["train/lr"]) for row in rows(tmp_path / "run") if row["train/loss"]]
    assert rates[0] == pytest.approx(6e-5)
    assert rates[4] == pytest.approx(6e-5 * (1 - 1 / 1500))


def test_accumulated_gradients_make_fewer_steps(run, tmp_path, lean):
    """Three batches of four an epoch: one pair and one left over are two steps."""
    options = ("data.batch_size=4", "trainer.accumulate_grad_batches=2")
    assert run(tmp_path / "run", *options)["training"]["steps"] == 4


def test_accumulated_gradients_equal_a_larger_batch(run, tmp_path, lean, monkeypatch):
    """Where batches do not touch one another (no batch norm, dropout, ignored pixels) the mean of means is the mean."""

    def loss_terms(self, batch):
        labels = batch["label"][:, ::4, ::4].long().clamp(max=18)
        return {"ce": torch.nn.functional.cross_entropy(self.segmenter(batch["image"]), labels)}

    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", lambda self, x: x)
    monkeypatch.setattr(SegmentationModule, "loss_terms", loss_terms)
    still = ("augment=none", "student.drop_path_rate=0", "student.dropout=0", "trainer.max_epochs=1")
    still += ("optimizer._target_=torch.optim.SGD", "~optimizer.betas", "optimizer.lr=0.5")
    run(tmp_path / "one", *still, "data.batch_size=6")
    results = run(tmp_path / "two", *still, "data.batch_size=3", "trainer.accumulate_grad_batches=2")
    run(tmp_path / "none", *still, "optimizer.lr=0")
    one, two = (read_checkpoint(tmp_path / name / "checkpoints/last.ckpt")["state_dict"] for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4, msg=name)
    assert results["training"]["steps"] == 2
    start = read_checkpoint(tmp_path / "none/checkpoints/last.ckpt")["state_dict"]
    assert max(float((start[name] - value).abs().max()) for name, value in one.items()) > 0.01


def test_clipping_bounds_what_the_optimiser_sees(run, with_callback, tmp_path, lean):
    seen = []

    class Watch(L.Callback):
        def on_before_zero_grad(self, trainer, module, optimizer):
            grads = [p.grad for p in module.parameters() if p.grad is not None]
            if grads:
                seen.append(float(torch.nn.utils.get_total_norm(grads)))

    with_callback(Watch())
    run(tmp_path / "run", "trainer.gradient_clip_val=0.01", "trainer.max_epochs=1")
    logged = [float(row["train/grad_norm"]) for row in rows(tmp_path / "run") if row["train/grad_norm"]]
    assert min(logged) > 0.02, "there was nothing to clip"
    assert seen
    assert max(seen) <= 0.01 * 1.001


@pytest.mark.parametrize("option", ["trainer.precision=bf16-mixed", "channels_last=false"])
def test_precision_and_memory_format(run, tmp_path, lean, option):
    results = run(tmp_path / "run", "distillation=transkd_base", "trainer.max_epochs=1", option)
    assert 0 <= results["miou"] <= 1
    checkpoint = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    floats = {v.dtype for v in checkpoint["state_dict"].values() if v.is_floating_point()}
    assert floats == {torch.float32}
    saved = transkd.load_segmenter(tmp_path / "run")
    assert {p.dtype for p in saved.parameters()} == {torch.float32}


def test_without_validation(run, tmp_path, lean):
    results = run(tmp_path / "run", "trainer.limit_val_batches=0", "trainer.max_epochs=1", "pictures=2")
    assert results["miou"] is None
    assert results["per_class"] == {}
    assert results["checkpoint"]["chosen"] == "last"
    assert (tmp_path / "run/model/model.safetensors").is_file()


def test_part_of_the_split_is_said_in_the_protocol(run, tmp_path, lean):
    results = run(tmp_path / "run", "trainer.limit_val_batches=1", "trainer.max_epochs=1")
    assert results["protocol"]["images"] == 3


def test_a_student_can_start_from_a_run(run, distilled, tmp_path, lean):
    run(
        tmp_path / "run",
        f"student.weights={distilled}",
        "optimizer.lr=0",
        "optimizer.weight_decay=0",
        "trainer.max_epochs=1",
    )
    start, end = transkd.load_segmenter(distilled), transkd.load_segmenter(tmp_path / "run")
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), end.parameters(), strict=True))


def test_a_teacher_can_be_a_run_and_stays_as_it_was_saved(run, supervised, tmp_path, lean):
    before = (supervised / "model/model.safetensors").read_bytes()
    run(
        tmp_path / "run",
        "distillation=transkd_base",
        "teacher.backbone=tiny",
        f"teacher.weights={supervised}",
        "trainer.max_epochs=1",
    )
    assert (supervised / "model/model.safetensors").read_bytes() == before


def test_what_is_printed_before_and_after(run, tmp_path):
    console = Console(record=True, width=150, file=(tmp_path / "log").open("w"))
    train(run.config(tmp_path / "run", "distillation=transkd_ea", "trainer.max_epochs=1"), console=console)
    text = console.export_text()
    assert "teacher 'tiny_teacher' has RANDOM weights: it teaches nothing" in text
    student = sum(p.numel() for p in transkd.create_segmenter("tiny", 19).parameters())
    assert f"{student:,}" in text
    assert "1→1 (8→16)  2→2 (12→24)  3→3 (16→32)  4→4 (24→48)" in text
    assert "mIoU" in text
    assert f"segmenter    {tmp_path}/run/student" in text
