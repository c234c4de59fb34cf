"""Multiply-accumulates, against hand formulas, torch's own counter, transformers and the paper's table."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from transkd.evaluation import count_macs, count_parameters, without_computing
from transkd.evaluation.cost import count_network, count_work, published_forward
from transkd.models import Segmenter, create_segmenter
from transkd.profiling.networks import LogitsOf

PAPER_SIZE = (512, 1024)
PUBLISHED = {"mit_b2": (27_362_004, 113.84), "mit_b0": (3_719_284, 13.67)}
COUNTED = {"mit_b2": (52.48, 36.91), "mit_b0": (9.21, 5.05)}


@pytest.mark.parametrize("name", [pytest.param("mit_b2", marks=pytest.mark.slow), "mit_b0"])
def test_the_papers_columns_to_their_last_digit(name: str) -> None:
    segmenter = create_segmenter(name, 20)
    parameters, gflops = PUBLISHED[name]
    macs = count_network(segmenter, PAPER_SIZE)
    assert count_parameters(segmenter) == parameters
    assert round(macs.as_published / 1e9, 2) == gflops
    assert (round(macs.with_attention / 1e9, 2), round(macs.without_attention / 1e9, 2)) == COUNTED[name]


@pytest.mark.parametrize(
    ("name", "parameters"), [("pvt_v2_b0", 7_527_668), ("pvt_v2_b2", 29_098_836), ("lvt", 3_837_176)]
)
def test_parameters_of_the_other_released_networks(name: str, parameters: int) -> None:
    assert count_parameters(create_segmenter(name, 20)) == parameters


def test_transformers_segformer_costs_what_ours_does_as_published_whichever_attention_runs() -> None:
    ours = count_network(create_segmenter("mit_b0", 20), PAPER_SIZE)
    made, config = SegformerForSemanticSegmentation._from_config, SegformerConfig(num_labels=20)
    fused, written_out = (
        count_network(LogitsOf(made(config, attn_implementation=kind)), PAPER_SIZE) for kind in ("sdpa", "eager")
    )
    assert fused == written_out
    assert fused.as_published == ours.as_published
    assert fused.with_attention - fused.without_attention == ours.with_attention - ours.without_attention
    assert fused.with_attention / 1e9 == pytest.approx(17.8, abs=0.05)


@pytest.mark.parametrize("no_gradients", [torch.no_grad, torch.inference_mode])
def test_products_by_hand(no_gradients: type[torch.no_grad]) -> None:
    query, tokens = torch.rand(2, 4, 10, 8), torch.rand(3, 5, 4)
    layer, weight = nn.Linear(4, 7), nn.Parameter(torch.rand(3, 4, 6))
    with no_gradients():
        fused = count_work(lambda: F.scaled_dot_product_attention(query, query, query), [query])
        linear = count_work(lambda: layer(tokens), [tokens])
        batched = count_work(lambda: torch.bmm(tokens, weight.transpose(1, 2).transpose(1, 2)), [tokens])
        attention = count_work(lambda: torch.bmm(tokens + 1, tokens.transpose(1, 2)), [tokens])
    assert (fused.with_attention, fused.without_attention) == (2 * (2 * 4 * 10 * 10 * 8), 0)
    assert linear.with_attention == linear.without_attention == 3 * 5 * 4 * 7
    assert batched.with_attention == batched.without_attention == 3 * 5 * 4 * 6
    assert (attention.with_attention, attention.without_attention) == (3 * 5 * 5 * 4, 0)


def test_what_mmcv_adds_by_hand() -> None:
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    network = nn.Sequential(*layers, nn.Conv2d(8, 2, 1, bias=False)).eval()
    macs = count_network(network, (32, 40))
    positions = 32 * 40
    products = positions * 8 * 27 + 8 * 2
    assert macs.without_attention == products
    assert macs.as_published == products + positions * 8 * (1 + 2 + 1 + 1)


@pytest.mark.parametrize("name", ["mit_b0", "mit_b0+semantic_fpn", "lvt", "pvt_v2_b0", "convnext_femto"])
def test_the_total_is_torchs(name: str) -> None:
    backbone, _, head = name.partition("+")
    segmenter = create_segmenter(backbone, 5, head=head or None).eval()
    with without_computing(segmenter):
        image = torch.empty(1, 3, 64, 96)
        expected = count_macs(lambda: segmenter(image))
    assert count_network(segmenter, (64, 96)).with_attention == expected


def test_the_published_head_computes_what_ours_does() -> None:
    segmenter = create_segmenter("mit_b0", 5).eval()
    segmenter.head.norm.running_mean.uniform_(-1, 1)
    forward = published_forward(segmenter)
    assert forward is not None
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(forward(image), segmenter(image), rtol=1e-4, atol=1e-5)
    assert published_forward(Segmenter("mit_b0", 5, head="semantic_fpn")) is None
    assert published_forward(nn.Conv2d(3, 2, 1)) is None
