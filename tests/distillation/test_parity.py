"""TransKD-Base against the numbers that the release's own code gives for the same weights and images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from released_names import released_state, rule_tensor
from torch import Tensor, nn

from transkd.distillation import DistillationLoss, create_loss
from transkd.distillation.csf import CrossSelectiveFusion
from transkd.distillation.embedding import PatchEmbeddingAlignment
from transkd.models.segmenter import Segmenter

from .released_adapters import adapter_names

# ERFNet's class weights for Cityscapes, then 0 for the 20th output, "ignore".
CLASS_WEIGHTS = (
    *(2.5959737, 6.741505, 3.5353868, 9.866315, 9.690922, 9.369371, 10.289124, 9.953209, 4.3098087, 9.490392),
    *(7.674411, 9.396925, 10.347794, 6.3928986, 10.226673, 10.241072, 10.28059, 10.396977, 10.05567, 0.0),
)
# Mode: cross-entropy, HCL, PEA of stages 1 to 4 before their weights, total.
EXPECTED = {
    "eval": (3.29493, 7.61001, 2.16289, 2.28282, 2.10648, 1.98117, 14.38392),
    "train": (3.29754, 6.58534, 2.16289, 2.28282, 2.10648, 1.98117, 13.36187),
}
# Channel-wise distillation over the four stages, with batch statistics in the batch norms.
EXPECTED_CWD_IN_TRAIN = {"cwd_positions": 2.03047, "cwd_channels": 3.88983}


@dataclass(frozen=True)
class TransKDBase:
    student: Segmenter
    teacher: Segmenter
    csf: CrossSelectiveFusion
    pea: PatchEmbeddingAlignment
    images: Tensor
    labels: Tensor

    def train(self, mode: bool) -> None:
        for module in (self.student, self.csf, self.pea):
            module.train(mode)


def _fill_segmenter(backbone: str, prefix: str) -> Segmenter:
    segmenter = Segmenter(backbone, 20, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), drop_path_rate=0.0, dropout=0.0)
    shapes = {name: tuple(tensor.shape) for name, tensor in segmenter.state_dict().items()}
    segmenter.load_state_dict(released_state(shapes, prefix))
    return segmenter


def _fill_loss(name: str, student: Segmenter, teacher: Segmenter) -> DistillationLoss:
    loss = create_loss(name, student=student, teacher=teacher)
    names = adapter_names(name)
    loss.load_state_dict({k: rule_tensor(names[k], tuple(v.shape)) for k, v in loss.state_dict().items()})
    return loss


@pytest.fixture(scope="module")
def _filled() -> TransKDBase:
    student, teacher = _fill_segmenter("mit_b0", "student."), _fill_segmenter("mit_b2", "").eval()
    csf, pea = (_fill_loss(name, student, teacher) for name in ("csf", "pea"))
    rng = np.random.default_rng(7)
    images = torch.from_numpy(rng.random((2, 3, 128, 256), dtype=np.float32))
    labels = torch.from_numpy(rng.integers(0, 20, (2, 32, 64)))
    assert isinstance(csf, CrossSelectiveFusion)
    assert isinstance(pea, PatchEmbeddingAlignment)
    return TransKDBase(student, teacher, csf, pea, images, labels)


@pytest.fixture
def transkd_base(_filled: TransKDBase) -> Iterator[TransKDBase]:
    with torch.no_grad():
        yield _filled


@pytest.mark.parametrize("mode", EXPECTED)
def test_losses_agree_with_the_release(transkd_base: TransKDBase, mode: str) -> None:
    transkd_base.train(mode == "train")
    student = transkd_base.student.taps(transkd_base.images, logits=True)
    teacher = transkd_base.teacher.taps(transkd_base.images)
    assert student.logits is not None
    entropy = F.cross_entropy(student.logits, transkd_base.labels, weight=torch.tensor(CLASS_WEIGHTS))
    context = transkd_base.csf(student, teacher)
    stages = transkd_base.pea.stage_losses(student, teacher)
    total = entropy + context + transkd_base.pea(student, teacher)
    obtained = [float(value) for value in (entropy, context, *stages, total)]
    assert obtained == pytest.approx(EXPECTED[mode], rel=1e-4)


@pytest.mark.parametrize("criterion", EXPECTED_CWD_IN_TRAIN)
def test_channel_wise_distillation_agrees_with_the_release(transkd_base: TransKDBase, criterion: str) -> None:
    transkd_base.train(True)
    csf = CrossSelectiveFusion(transkd_base.student.channels, transkd_base.teacher.channels, criterion=criterion)
    csf.load_state_dict(transkd_base.csf.state_dict())
    student, teacher = (
        segmenter.taps(transkd_base.images) for segmenter in (transkd_base.student, transkd_base.teacher)
    )
    assert float(csf(student, teacher)) == pytest.approx(EXPECTED_CWD_IN_TRAIN[criterion], rel=1e-4)


@pytest.mark.parametrize(
    ("losses", "parameters"),
    [(("csf", "pea"), 4_563_124), (("csf", "gl_mixer"), 5_219_254), (("csf", "ea"), 5_534_076)],
    ids=["transkd_base", "transkd_gl", "transkd_ea"],
)
def test_student_and_adapters_have_the_published_number_of_parameters(
    transkd_base: TransKDBase, losses: tuple[str, ...], parameters: int
) -> None:
    student, teacher = transkd_base.student, transkd_base.teacher
    adapters = [create_loss(name, student=student, teacher=teacher) for name in losses]
    assert _parameters(student) == 3_719_284
    assert sum(_parameters(module) for module in (student, *adapters)) == parameters


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
