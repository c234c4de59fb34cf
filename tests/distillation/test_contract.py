"""What every loss promises, whatever it computes and whatever a dataset holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from transkd.distillation import DistillationLoss, create_loss
from transkd.errors import ConfigError
from transkd.models.taps import Taps

from .tap_builder import CLASSES, LOSS_NAMES, Widths, random_labels, random_taps

STUDENT, TEACHER = (8, 16, 16, 24), (12, 16, 24, 32)

pytestmark = pytest.mark.parametrize("name", LOSS_NAMES)


def _taps(**options: object) -> tuple[Taps, Taps]:
    return random_taps(STUDENT, **options), random_taps(TEACHER, seed=1, **options)


def _loss(name: str, student: tuple[int, ...] = STUDENT, teacher: tuple[int, ...] = TEACHER) -> DistillationLoss:
    return create_loss(name, student=Widths(student), teacher=Widths(teacher))


def _value(loss: DistillationLoss, student: Taps, teacher: Taps) -> torch.Tensor:
    torch.manual_seed(0)  # a loss may draw random masks or samples
    return loss.compare(student, teacher, random_labels(student))


def _maps(taps: Taps, kind: str) -> tuple[torch.Tensor, ...]:
    return (taps.logits,) if kind == "logits" else getattr(taps, kind)


def _without(taps: Taps, kind: str) -> Taps:
    return replace(taps, **{kind: None if kind == "logits" else ()})


@pytest.mark.parametrize("batch", [1, 2])
def test_training_reaches_the_student_and_every_parameter_but_not_the_teacher(name: str, batch: int) -> None:
    loss = _loss(name)
    student, teacher = _taps(batch=batch)
    value = _value(loss, student, teacher)
    value.backward()
    assert value.shape == ()
    assert value.dtype == torch.float32
    # Parameters without a gradient would stop DistributedDataParallel.
    assert [n for n, p in loss.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    kinds = ("embeddings", "features", "logits")
    assert all(tap.grad is None for kind in kinds for tap in _maps(teacher, kind))
    # All maps of the kinds that a loss reads, but for those that read some of them only.
    deepest = {"features": [3]}
    read = dict.fromkeys(("cwd", "fitnet", "mgd", "skd", "ifvd", "cirkd"), deepest) | {"ea": {"features": [0, 1, 2]}}
    for kind in sorted(loss.requires & set(kinds)):
        trained = [i for i, tap in enumerate(_maps(student, kind)) if tap.grad is not None and tap.grad.any()]
        every = list(range(len(_maps(student, kind))))
        assert trained == read.get(name, {}).get(kind, every)


@pytest.mark.parametrize("name_of_unread", ["embeddings", "features", "logits"])
def test_only_what_is_required_is_read(name: str, name_of_unread: str) -> None:
    loss = _loss(name)
    student, teacher = (_without(taps, name_of_unread) for taps in _taps())
    if name_of_unread in loss.requires:
        with pytest.raises(ConfigError, match=rf"{name}: the (student|teacher)'s taps hold no {name_of_unread}"):
            _value(loss, student, teacher)
    else:
        assert _value(loss, student, teacher).isfinite()


def test_a_loss_on_labels_says_that_it_needs_them(name: str) -> None:
    loss = _loss(name)
    if "labels" in loss.requires:
        with pytest.raises(ConfigError, match=rf"{name}.*labels"):
            loss(*_taps())
    else:
        with pytest.raises(TypeError, match="labels"):
            loss(*_taps(), labels=random_labels(_taps()[0]))


@pytest.mark.parametrize(
    ("student", "student_strides", "teacher", "teacher_strides"),
    [
        pytest.param(STUDENT, (8, 16, 32, 64), TEACHER, (4, 8, 16, 32), id="coarser student"),
        pytest.param(STUDENT, (4, 8, 16, 32), (48,) * 4, (14,) * 4, id="plain ViT teacher"),
        pytest.param(STUDENT, (4, 8, 16, 32), (16, 32), (8, 32), id="two-stage teacher"),
        pytest.param(STUDENT, (4, 8, 16, 32), (8,) * 5, (2, 4, 8, 16, 32), id="five-stage teacher"),
        pytest.param((64, 128, 320, 512), (4, 8, 16, 32), STUDENT, (4, 8, 16, 32), id="narrower teacher"),
    ],
)
def test_pairs_of_any_width_size_and_depth_train(
    name: str,
    student: tuple[int, ...],
    student_strides: tuple[int, ...],
    teacher: tuple[int, ...],
    teacher_strides: tuple[int, ...],
) -> None:
    loss = _loss(name, student, teacher)
    own = random_taps(student, image=(93, 131), strides=student_strides)
    value = _value(loss, own, random_taps(teacher, image=(93, 131), strides=teacher_strides, seed=1))
    value.backward()
    assert value.isfinite()
    assert all(p.grad is not None for p in loss.parameters())


def test_autocast_gives_nearly_the_same_in_float32(name: str) -> None:
    loss = _loss(name).eval()
    taps = _taps()
    expected = _value(loss, *taps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        halved = _value(loss, *taps)
    halved.backward()
    assert halved.dtype == torch.float32
    if list(loss.parameters()):
        assert halved.item() != expected.item(), "autocast was not on in the adapters"
        assert halved.item() == pytest.approx(expected.item(), rel=0.02)
    else:
        assert halved.item() == expected.item()


def test_memory_format_does_not_matter(name: str) -> None:
    loss = _loss(name).eval()
    taps = _taps()
    expected = _value(loss, *taps)
    loss = loss.to(memory_format=torch.channels_last) if name != "gl_mixer" else loss
    assert _value(loss, *(_channels_last(t) for t in taps)).item() == pytest.approx(expected.item(), rel=1e-5)


def _channels_last(taps: Taps) -> Taps:
    def convert(maps: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(m.contiguous(memory_format=torch.channels_last) for m in maps)

    return Taps(
        *convert((taps.images,)), convert(taps.embeddings), convert(taps.features), *convert(_maps(taps, "logits"))
    )


@pytest.mark.slow
def test_it_compiles_in_one_graph(name: str) -> None:
    loss = _loss(name)
    student, teacher = _taps()
    expected = _value(loss, student, teacher)
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    labels = {"labels": random_labels(student)} if "labels" in loss.requires else {}
    torch.manual_seed(0)
    torch.testing.assert_close(compiled(student, teacher, **labels), expected)


def test_taps_of_another_segmenter_are_refused(name: str) -> None:
    loss = _loss(name)
    student, teacher = _taps()
    if loss.requires & {"embeddings", "features"}:
        with pytest.raises(
            ConfigError, match=rf"{name}: the teacher's \w+ have channels \(8, 16, 16, 24\), but .* built"
        ):
            _value(loss, student, student)
        with pytest.raises(ConfigError, match=rf"{name}: the student's \w+ have channels \(12, 16, 24, 32\), but"):
            _value(loss, teacher, teacher)
    if "logits" in loss.requires:
        other = random_taps(TEACHER, classes=CLASSES + 2)
        with pytest.raises(ConfigError, match=rf"{name}: the student's logits are of 5 classes, the teacher's of 7"):
            _value(loss, student, other)


def _stays_finite(name: str, student: Taps, teacher: Taps, labels: torch.Tensor) -> torch.Tensor:
    loss = _loss(name)
    value = loss.compare(student, teacher, labels)
    value.backward()
    taps = (*student.embeddings, *student.features, student.logits)
    gradients = [tensor.grad for tensor in (*taps, *loss.parameters()) if tensor.grad is not None]
    assert value.isfinite()
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    return value


@pytest.mark.parametrize("batch", [1, 2])
def test_labels_that_are_all_ignored_stay_finite(name: str, batch: int) -> None:
    ignored = torch.full((batch, 64, 96), 255, dtype=torch.uint8)
    value = _stays_finite(name, *_taps(batch=batch), ignored)
    assert name != "ifvd" or value == 0


@pytest.mark.parametrize("classes", [1, 2, 200])
def test_one_class_and_more_classes_than_pixels_stay_finite(name: str, classes: int) -> None:
    student, teacher = _taps(classes=classes, batch=1, image=(40, 72))  # 180 pixels at stride 4
    _stays_finite(name, student, teacher, random_labels(student, classes=classes))


@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_maps_without_variation_and_large_ones_stay_finite(name: str, scale: float) -> None:
    student, teacher = _taps()
    for taps in (student, teacher):
        for tap in (*taps.embeddings, *taps.features, taps.logits):
            tap.data *= scale
    _stays_finite(name, student, teacher, random_labels(student))


def test_fp16_autocast_does_not_overflow(name: str) -> None:
    student, teacher = _taps()
    for tap in student.features:
        tap.data *= 50  # squares of such maps, summed, are past 65504
    with torch.autocast("cpu", dtype=torch.float16):
        value = _loss(name).compare(student, teacher, random_labels(student))
    assert value.dtype == torch.float32
    assert value.isfinite()
