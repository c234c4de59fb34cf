"""Losses on patch embeddings are refused for a network that has none, and for no other."""

from __future__ import annotations

import pytest
import torch

from transkd.distillation import available_losses, create_loss
from transkd.errors import ConfigError
from transkd.models import create_segmenter

from .tap_builder import Widths


@pytest.fixture(scope="module")
def segmenters():
    return {name: create_segmenter(name, 4) for name in ("resnet18", "convnext_atto")}


@pytest.mark.parametrize("role", ["student", "teacher"])
@pytest.mark.parametrize("loss", ["pea", "gl_mixer", "ea"])
def test_a_loss_on_embeddings_is_refused(segmenters, loss, role):
    pair = {"student": segmenters["convnext_atto"], "teacher": segmenters["convnext_atto"]}
    create_loss(loss, **pair)
    with pytest.raises(ConfigError) as caught:
        create_loss(loss, **pair | {role: segmenters["resnet18"]})
    message = str(caught.value)
    assert message.startswith(
        f"distillation loss '{loss}' compares patch embeddings, and the {role} has none: resnet18 "
    )
    usable = message.partition("use a loss that needs none (")[2].partition(")")[0].split(", ")
    assert "csf" in usable
    assert set(usable) <= set(available_losses()) - {"pea", "gl_mixer", "ea"}
    assert message.endswith(f"or another {role}")


@pytest.mark.parametrize(("student", "teacher"), [("resnet18", "convnext_atto"), ("convnext_atto", "resnet18")])
def test_a_loss_on_features_works(segmenters, student, teacher):
    loss = create_loss("csf", student=segmenters[student], teacher=segmenters[teacher])
    images = torch.rand(2, 3, 64, 96)
    value = loss(segmenters[student].taps(images), segmenters[teacher].taps(images))
    value.backward()
    assert value > 0
    assert next(iter(segmenters[student].backbone.parameters())).grad is not None
    segmenters[student].zero_grad(set_to_none=True)


def test_what_only_has_channels_is_still_taken():
    assert create_loss("pea", student=Widths((8, 16)), teacher=Widths((12, 24))).name == "pea"
