"""One pass over a split, against counts by hand, torchmetrics and the protocols' own words."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn import functional
from torchmetrics.classification import MulticlassJaccardIndex

from transkd.errors import ConfigError, NonFiniteError
from transkd.evaluation.evaluate import evaluate

NAMES = ("road", "sky", "car")


def network(images: torch.Tensor) -> torch.Tensor:
    """Logits of three classes at a quarter of the image, from its colours alone."""
    values = images.float() / 255 if images.dtype == torch.uint8 else images
    return functional.avg_pool2d(values, 4, ceil_mode=True)


def batches(label_size: tuple[int, int] = (32, 48)) -> list[dict[str, torch.Tensor]]:
    rng = np.random.default_rng(0)
    found, start = [], 0
    for count in (3, 1, 2):
        labels = rng.integers(0, 3, (count, *label_size)).astype(np.uint8)
        labels[:, -4:] = 255
        images = rng.integers(0, 256, (count, 3, 32, 48)).astype(np.uint8)
        index = torch.arange(start, start + count)
        found.append({"image": torch.from_numpy(images), "label": torch.from_numpy(labels), "index": index})
        start += count
    return found


@pytest.mark.parametrize("label_size", [(32, 48), (40, 70)])
def test_the_full_protocol_resizes_logits_to_labels(label_size) -> None:
    oracle = MulticlassJaccardIndex(3, ignore_index=255, average="none")
    for batch in batches(label_size):
        logits = functional.interpolate(network(batch["image"]), label_size, mode="bilinear")
        oracle.update(logits.argmax(1), batch["label"].long())
    evaluation = evaluate(network, batches(label_size), NAMES, resolution="label")
    assert list(evaluation.scores.per_class.values()) == pytest.approx(oracle.compute().tolist())


def test_the_papers_protocol_scores_a_quarter_of_the_input() -> None:
    evaluation = evaluate(network, batches(), NAMES, resolution="logit")
    assert int(evaluation.confusion.sum()) == 6 * (8 - 1) * 12
    by_hand = np.zeros((3, 3), int)
    for batch in batches():
        for guess, truth in zip(network(batch["image"]).argmax(1), batch["label"][:, 2::4, 2::4], strict=True):
            np.add.at(by_hand, (truth[:7].numpy(), guess[:7].numpy()), 1)
    assert np.array_equal(evaluation.confusion.sum(0).numpy(), by_hand)


def test_a_model_with_logits_at_the_images_size_has_no_score_by_the_papers_protocol() -> None:
    def exported(images: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(network(images), images.shape[-2:], mode="bilinear")

    with pytest.raises(ConfigError, match=r"gives 32x48 for an image of 32x48: .*protocol=full"):
        evaluate(exported, batches(), NAMES, resolution="logit")
    full = evaluate(exported, batches(), NAMES, resolution="label")
    assert torch.equal(full.confusion, evaluate(network, batches(), NAMES).confusion)


def test_the_report_by_group_and_image() -> None:
    evaluation = evaluate(network, batches(), NAMES)
    groups = ["fog", "night", "fog", "night", "night", "fog"]
    report = evaluation.report(
        groups=groups, resamples=200, categories={"road": "flat", "sky": "sky", "car": "vehicle"}
    )
    alone = evaluate(network, [b for b in single_images() if groups[int(b["index"])] == "fog"], NAMES).report()
    assert report["per_group"]["fog"]["miou"] == pytest.approx(alone["miou"])
    assert report["per_group"]["fog"]["images"] == 3
    assert report["category_miou"] == pytest.approx(report["miou"])
    assert report["miou_interval"]["low"] <= report["miou"] <= report["miou_interval"]["high"]
    mious = [evaluate(network, [b], NAMES).scores.miou for b in single_images()]
    assert evaluation.ranked() == sorted(range(6), key=lambda i: -mious[i])


def single_images() -> list[dict[str, torch.Tensor]]:
    return [{k: v[i : i + 1] for k, v in batch.items()} for batch in batches() for i in range(len(batch["index"]))]


def test_what_has_no_labels_has_no_score_and_json_no_nan() -> None:
    found = batches()
    found[2]["label"][:] = 255
    evaluation = evaluate(network, found, NAMES)
    report = evaluation.report(groups=["day"] * 4 + ["night"] * 2, resamples=50)
    json.dumps(report, allow_nan=False)
    assert report["per_group"]["night"] == {
        "miou": None,
        "pixel_accuracy": None,
        "per_class": dict.fromkeys(NAMES),
        "images": 2,
    }
    assert report["per_group"]["day"]["miou"] == report["miou"]
    assert len(evaluation.ranked()) == 4
    nothing = evaluate(network, found[2:], NAMES).report()
    assert (nothing["miou"], nothing["miou_interval"], nothing["boundary_iou"]) == (None, None, None)


def scored_by_two(rank: int, folder: str) -> None:
    """Score as one process of two: one share repeats an image, and one has an image without labels to be as long."""
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    images = single_images()
    found = images[:5][rank::2]
    if rank == 1:
        found += [images[0], {**images[4], "label": torch.full_like(images[4]["label"], 255)}]
    evaluation = evaluate(network, found, NAMES)
    torch.save([evaluation.confusion, evaluation.images, evaluation.boundary], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_several_processes_count_what_one_counts(tmp_path) -> None:
    multiprocessing.spawn(scored_by_two, (str(tmp_path),), nprocs=2)
    alone = evaluate(network, single_images()[:5], NAMES)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        for ours, expected in zip(found, (alone.confusion, alone.images, alone.boundary), strict=True):
            assert torch.equal(ours, expected)


def test_logits_without_a_class_end_the_score_and_name_the_image() -> None:
    def broken(images: torch.Tensor) -> torch.Tensor:
        logits = network(images)
        logits[-1, 0, 0, 0] = float("nan")
        return logits

    with pytest.raises(NonFiniteError, match=r"third.png: the model gives NaN or infinite logits"):
        evaluate(broken, batches(), NAMES, image_names=["first.png", "second.png", "third.png"])
    with pytest.raises(NonFiniteError, match="image 2 of the split: the model"):
        evaluate(broken, batches(), NAMES)


def test_predictions_are_handed_on_in_the_dataset_s_classes() -> None:
    kept = []
    evaluate(network, batches((40, 70)), NAMES, outputs=(2, 0, 1), keep=kept.append)
    for prediction, batch in zip(kept, batches((40, 70)), strict=True):
        logits = network(batch["image"])[:, [2, 0, 1]]
        assert torch.equal(prediction.logits, logits)
        expected = functional.interpolate(logits, (40, 70), mode="bilinear").argmax(1)
        assert torch.equal(prediction.classes, expected)
        assert torch.equal(prediction.index, batch["index"])
