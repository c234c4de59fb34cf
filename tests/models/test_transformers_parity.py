"""Our SegFormers give the logits of transformers' implementation, with its weights."""

from __future__ import annotations

import os

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytest.importorskip("transformers")
from transformers_layout import our_state, reference_segformer

from transkd.models import create_segmenter


@pytest.mark.parametrize("backbone", ["mit_b0", "mit_b2"])
def test_logits_equal_those_of_transformers(backbone, tmp_path):
    torch.manual_seed(0)
    reference = reference_segformer(backbone, num_classes=19)
    segmenter = create_segmenter(backbone, num_classes=19).eval()
    segmenter.load_state_dict(our_state(reference, tmp_path))
    for size in [(64, 96), (33, 47), (129, 255)]:
        images = torch.rand(2, 3, *size)
        with torch.no_grad():
            expected = reference(segmenter.normalise(images)).logits
            logits = segmenter(images)
        assert expected.std() > 0.01
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


def test_stochastic_depth_rises_as_in_transformers():
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    reference = SegformerForSemanticSegmentation(SegformerConfig(drop_path_rate=0.3))
    expected = [m.drop_prob for m in reference.modules() if type(m).__name__ == "SegformerDropPath"]
    segmenter = create_segmenter("mit_b0", drop_path_rate=0.3)
    blocks = [block for stage in segmenter.backbone.stages for block in stage.blocks]
    rates = [block.drop_path2.drop_prob for block in blocks[1:]]
    assert len(expected) == 7
    assert rates == pytest.approx(expected)
    assert isinstance(blocks[0].drop_path1, torch.nn.Identity)
    assert rates[-1] == pytest.approx(0.3)
