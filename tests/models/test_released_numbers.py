"""Our segmenters against numbers of TransKD's released code, with weights that a rule gives by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from released_layout import filled, released_shapes
from torch.nn import functional as F

from transkd.models import Segmenter, create_segmenter
from transkd.models.formats.transkd import from_released

CLASS_WEIGHTS = (
    2.5959737, 6.741505, 3.5353868, 9.866315, 9.690922, 9.369371, 10.289124, 9.953209, 4.3098087, 9.490392,
    7.674411, 9.396925, 10.347794, 6.3928986, 10.226673, 10.241072, 10.28059, 10.396977, 10.05567, 0.0,
)  # fmt: skip


@pytest.mark.parametrize(("training", "expected"), [(False, 3.29493), (True, 3.29754)])
def test_cross_entropy_of_the_student(training, expected):
    config, state = from_released(filled(released_shapes("mit_b0", "student.")))
    segmenter = Segmenter(**config, drop_path_rate=0, dropout=0).train(training)
    segmenter.load_state_dict(state)
    rng = np.random.default_rng(7)
    images = torch.from_numpy(rng.random((2, 3, 128, 256), dtype=np.float32))
    labels = torch.from_numpy(rng.integers(0, 20, (2, 32, 64)))
    loss = F.cross_entropy(segmenter(images), labels, torch.tensor(CLASS_WEIGHTS))
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("backbone", "parameters"),
    [
        ("mit_b0", 3_719_284),
        ("mit_b2", 27_362_004),
        ("pvt_v2_b0", 7_527_668),
        ("pvt_v2_b2", 29_098_836),
        ("lvt", 3_837_176),
    ],
)
def test_parameter_counts_of_the_paper(backbone, parameters):
    with torch.device("meta"):
        segmenter = create_segmenter(backbone, num_classes=20)
    assert sum(parameter.numel() for parameter in segmenter.parameters()) == parameters
