"""Our SegFormers against numbers of TransKD's released code, with weights that a rule gives by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from released_layout import released_names, released_state, student_key
from torch.nn import functional as F

from transkd.models import create_segmenter

CLASS_WEIGHTS = (
    2.5959737, 6.741505, 3.5353868, 9.866315, 9.690922, 9.369371, 10.289124, 9.953209, 4.3098087, 9.490392,
    7.674411, 9.396925, 10.347794, 6.3928986, 10.226673, 10.241072, 10.28059, 10.396977, 10.05567, 0.0,
)  # fmt: skip


@pytest.mark.parametrize(("training", "expected"), [(False, 3.29493), (True, 3.29754)])
def test_cross_entropy_of_the_student(training, expected):
    segmenter = create_segmenter(
        "mit_b0", num_classes=20, mean=(0, 0, 0), std=(1, 1, 1), drop_path_rate=0, dropout=0
    ).train(training)
    shapes = {name: tuple(tensor.shape) for name, tensor in segmenter.state_dict().items()}
    segmenter.load_state_dict(released_state(shapes, prefix="student."))
    rng = np.random.default_rng(7)
    images = torch.from_numpy(rng.random((2, 3, 128, 256), dtype=np.float32))
    labels = torch.from_numpy(rng.integers(0, 20, (2, 32, 64)))
    loss = F.cross_entropy(segmenter(images), labels, torch.tensor(CLASS_WEIGHTS))
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("backbone", "parameters"), [("mit_b0", 3_719_284), ("mit_b2", 27_362_004)])
def test_parameter_counts_of_the_paper(backbone, parameters):
    segmenter = create_segmenter(backbone, num_classes=20)
    assert sum(parameter.numel() for parameter in segmenter.parameters()) == parameters


@pytest.mark.parametrize(
    ("released", "ours"),
    [
        ("student.patch_embed1.proj.weight", "backbone.patch_embed.proj.weight"),
        ("student.patch_embed3.norm.bias", "backbone.stages.2.downsample.norm.bias"),
        ("student.block2.1.mlp.dwconv.dwconv.bias", "backbone.stages.1.blocks.1.mlp.dwconv.bias"),
        ("block3.5.attn.sr.weight", "backbone.stages.2.blocks.5.attn.sr.weight"),
        ("norm4.weight", "backbone.stages.3.norm.weight"),
        ("linear_c4.proj.weight", "head.linear.3.weight"),
        ("linear_fuse.conv.weight", "head.fuse.weight"),
        ("linear_fuse.bn.running_var", "head.norm.running_var"),
        ("linear_pred.bias", "head.classifier.bias"),
    ],
)
def test_names_of_released_checkpoints(released, ours):
    assert student_key(released) == ours
    prefix = "student." if released.startswith("student.") else ""
    names = create_segmenter("mit_b2").state_dict()
    assert released_names(names, prefix)[ours] == released
