"""What every loss promises, whatever it computes."""

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
        ((8, 16, 16, 24), (8, 16, 32, 64), (12, 16, 24, 32), (4, 8, 16, 32)),
        ((8, 16, 16, 24), (4, 8, 16, 32), (48, 48, 48, 48), (14, 14, 14, 14)),
        ((8, 16, 16, 24), (4, 8, 16, 32), (16, 32), (8, 32)),
        ((8, 16, 16, 24), (4, 8, 16, 32), (8, 8, 8, 8, 8), (2, 4, 8, 16, 32)),
        ((64, 128, 320, 512), (4, 8, 16, 32), (8, 16, 16, 24), (4, 8, 16, 32)),
    ],
    ids=[
        "coarser student",
        "plain ViT teacher",
        "two-stage teacher",
        "five-stage teacher",
        "narrower teacher",
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
    image = (93, 131)
    value = _value(
        loss,
        random_taps(student, image=image, strides=student_strides),
        random_taps(teacher, image=image, strides=teacher_strides, seed=1),
    )
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
