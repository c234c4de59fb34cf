"""PEA, GL-Mixer and EA: their options and starts, beyond the numbers of the authors' code."""

from __future__ import annotations

import pytest
import torch

from transkd.distillation import create_loss

from .tap_builder import Widths, random_taps

STUDENT, TEACHER = (8, 16, 16, 24), (12, 16, 24, 32)


def _loss(name: str, student=STUDENT, teacher=TEACHER, **options: object):
    return create_loss(name, student=Widths(student), teacher=Widths(teacher), **options)


def test_stage_weights_weigh_the_mean_squared_errors_of_the_stages() -> None:
    loss = _loss("pea", stage_weights=[2, 0, 0.5, 3])
    taps = random_taps(STUDENT), random_taps(TEACHER, seed=1)
    errors = []
    for linear, own, taught in zip(loss.linears, taps[0].embeddings, taps[1].embeddings, strict=True):
        aligned = torch.einsum("dc,bchw->bdhw", linear.weight, own) + linear.bias[:, None, None]
        errors.append((aligned - taught).square().mean().item())
    assert [part.item() for part in loss.stage_losses(*taps)] == pytest.approx(errors, rel=1e-5)
    expected = 2 * errors[0] + 0.5 * errors[2] + 3 * errors[3]
    assert loss(*taps).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("student_stages", "weights"),
    [(2, (0.5, 1.0)), (4, (0.1, 0.1, 0.5, 1.0)), (5, (0.1, 0.1, 0.1, 0.5, 1.0))],
)
def test_the_papers_stage_weights_count_from_the_deepest(student_stages: int, weights: tuple[float, ...]) -> None:
    assert _loss("pea", (8,) * student_stages, (8,) * 5).stage_weights == weights


@pytest.mark.parametrize("stage", [4, 2])
def test_the_mixer_changes_the_chosen_stage_alone_and_can_add_the_embedding_itself(stage: int) -> None:
    taps = random_taps(STUDENT)
    plain, residual = (_loss("gl_mixer", stage=stage, heads=4, residual=residual) for residual in (False, True))
    residual.load_state_dict(plain.state_dict())
    for pair, own in enumerate(taps.embeddings):
        mixed = plain.embedding(taps, pair)
        assert torch.equal(mixed, own) == (pair != stage - 1)
        if pair == stage - 1:
            torch.testing.assert_close(residual.embedding(taps, pair), mixed + own)
    assert (plain.mixer.global_weight.tolist(), plain.mixer.local_weight.tolist()) == ([0.5], [0.5])


@pytest.mark.parametrize("image", [(64, 96), (77, 45)])
def test_the_parts_of_ea_add_up_and_hold_nothing_idle(image: tuple[int, int]) -> None:
    student, teacher = random_taps(STUDENT, image=image), random_taps(TEACHER, image=image, seed=1)
    both = _loss("ea")
    parts = [_loss("ea", parts=part) for part in ("embedding", "assistant")]
    for part in parts:
        part.load_state_dict({k: v for k, v in both.state_dict().items() if k in part.state_dict()})
        part(student, teacher).backward()
        assert all(p.grad is not None for p in part.parameters())
    for pair in range(4):
        torch.testing.assert_close(both.align(student, pair), sum(part.align(student, pair) for part in parts))


def test_ea_takes_its_assistant_to_the_size_of_embeddings_of_other_strides() -> None:
    loss = _loss("ea", (8, 16), (12, 24))
    student = random_taps((8, 16), image=(70, 90), strides=(8, 8))
    assert [loss.align(student, pair).shape[1:] for pair in range(2)] == [(12, 9, 12), (24, 9, 12)]


def test_ea_of_a_deeper_student_starts_at_its_paired_stage() -> None:
    loss = _loss("ea", (8, 16, 24), (12, 32))
    assert [assistant.proj.weight.shape[:3] for assistant in loss.assistants] == [(12, 8, 3), (32, 16, 3)]
    assert [round(w.item(), 6) for w in loss.linear_weights] == [0.2, 0.3]
    assert [round(w.item(), 6) for w in loss.assistant_weights] == [0.6, 0.7]
