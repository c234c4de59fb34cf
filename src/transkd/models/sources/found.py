"""A segmenter as it was found: what to build, and what to fill it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.backbones import find_backbone
from transkd.models.formats.recognise import seems_to_be
from transkd.models.segmenter import Segmenter
from transkd.models.weights import first_few, shapes_of, state_shapes, tensor_differences


@dataclass(frozen=True)
class Found:
    """A segmenter's arguments and tensors, and where each was read.

    Attributes:
        config: arguments of :class:`Segmenter`.
        tensors: its state dict.
        config_from: where the arguments were read, for messages.
        tensors_from: where the tensors were read.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    config_from: str
    tensors_from: str

    def build(self, backbone: str | None = None, num_classes: int | None = None) -> Segmenter:
        """Return the segmenter, in evaluation mode.

        Args:
            backbone: the backbone that it has to have; None takes any.
            num_classes: the number of classes that it has to have; None takes any.

        Raises:
            ConfigError: there is no backbone of that name.
            WeightsError: arguments that make no segmenter, another one than it has to be, or tensors that are not
                exactly those of it.
        """
        try:
            segmenter = Segmenter(**self.config)
        except (TypeError, ValueError) as error:
            raise WeightsError(f"{self.config_from} describes no segmenter of this version: {error}") from error
        self._check_expected({"backbone": backbone, "num_classes": num_classes})
        self._check_tensors(segmenter)
        segmenter.load_state_dict(dict(self.tensors))
        return segmenter.eval()

    def _check_expected(self, expected: Mapping[str, Any]) -> None:
        if expected["backbone"] is not None:
            find_backbone(expected["backbone"])
        wrong = [
            f"{key} {self.config[key]}, not {value}"
            for key, value in expected.items()
            if value not in (None, self.config[key])
        ]
        if wrong:
            raise WeightsError(
                f"{self.tensors_from} has {' and '.join(wrong)}; give other weights, or request what these are"
            )

    def _check_tensors(self, segmenter: Segmenter) -> None:
        expected, found = state_shapes(segmenter), shapes_of(self.tensors)
        if differences := tensor_differences(expected, found):
            guess = "" if expected.keys() & found.keys() else f"; it seems to be {seems_to_be(found)}"
            raise WeightsError(
                f"{self.tensors_from} does not fit the {self.config['backbone']} segmenter of {self.config_from}: "
                f"{differences}{guess}"
            )
        state = segmenter.state_dict()
        quantised = [n for n, t in self.tensors.items() if state[n].is_floating_point() and not t.is_floating_point()]
        if quantised:
            raise WeightsError(
                f"{self.tensors_from}: {len(quantised)} tensors are not floating point, as quantised weights: "
                f"{first_few(quantised)}; give others"
            )
        if broken := [name for name, tensor in self.tensors.items() if not torch.isfinite(tensor).all()]:
            raise WeightsError(
                f"{self.tensors_from}: {len(broken)} tensors hold NaN or infinite values: {first_few(broken)}; "
                "give others"
            )
