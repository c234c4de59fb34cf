"""A segmenter as it was found: what to make, and what to fill it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.formats.recognise import seems_to_be
from transkd.models.segmenter import Segmenter
from transkd.models.weights import first_few, shapes_of, state_shapes, tensor_differences


@dataclass(frozen=True)
class Found:
    """A segmenter's arguments and tensors, and where each was read.

    Attributes:
        config: arguments of :class:`Segmenter`.
        tensors: its state dict.
        source: what was asked for, for messages.
        config_from: where the arguments were read.
        tensors_from: where the tensors were read.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    source: str
    config_from: str
    tensors_from: str

    def build(self, backbone: str | None = None, num_classes: int | None = None) -> Segmenter:
        """Return the segmenter, in evaluation mode.

        Args:
            backbone: the backbone that it has to have; None takes any.
            num_classes: the number of classes that it has to have; None takes any.

        Raises:
            WeightsError: arguments that make no segmenter, another one than it has to be, or tensors that are not
                exactly those of it.
        """
        segmenter = self._empty_segmenter()
        self._check_expected({"backbone": backbone, "num_classes": num_classes})
        self._check_tensors(segmenter)
        segmenter.load_state_dict(dict(self.tensors))
        return segmenter.eval()

    def _check_expected(self, expected: Mapping[str, Any]) -> None:
        wrong = {key: value for key, value in expected.items() if value not in (None, self.config[key])}
        if not wrong:
            return
        with torch.device("meta"):
            wanted = Segmenter(**{**_architecture(self.config), **wrong})
        differences = tensor_differences(state_shapes(wanted), shapes_of(self.tensors))
        mismatch = " and ".join(f"{key} {self.config[key]}, not {value}" for key, value in wrong.items())
        raise WeightsError(
            f"{self.source} has {mismatch}: {differences}; give other weights, or ask for what these are"
        )

    def _empty_segmenter(self) -> Segmenter:
        try:
            return Segmenter(**self.config)
        except (TypeError, ValueError) as error:
            raise WeightsError(f"{self.config_from} describes no segmenter of this version: {error}") from error

    def _check_tensors(self, segmenter: Segmenter) -> None:
        found = shapes_of(self.tensors)
        expected = state_shapes(segmenter)
        if differences := tensor_differences(expected, found):
            nothing_fits = not expected.keys() & found.keys()
            guess = f"; it seems to be {seems_to_be(found)}" if nothing_fits else ""
            raise WeightsError(
                f"{self.tensors_from} does not fit the {self.config['backbone']} segmenter of {self.config_from}: "
                f"{differences}{guess}"
            )
        for what, names in {
            "are not floating point, as quantised weights": _not_floating(segmenter, self.tensors),
            "hold NaN or infinite values": _not_finite(self.tensors),
        }.items():
            if names:
                raise WeightsError(f"{self.tensors_from}: {len(names)} tensors {what}: {first_few(names)}; give others")


def _architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in ("backbone", "num_classes")}


def _not_floating(segmenter: Segmenter, tensors: Mapping[str, Tensor]) -> list[str]:
    floating = (name for name, tensor in segmenter.state_dict().items() if tensor.is_floating_point())
    return [name for name in floating if not tensors[name].is_floating_point()]


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name for name, tensor in tensors.items() if not _all_finite(tensor)]


def _all_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
