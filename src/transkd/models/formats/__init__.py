"""Published formats of state dicts: which one a state dict is in, and its tensors under a segmenter's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.formats.nvlabs import class_names_of, from_nvlabs, looks_like_nvlabs
from transkd.models.formats.recognise import no_segmenter
from transkd.models.formats.transformers import TRANSFORMERS_EPS, from_transformers, has_transformers_segmenter
from transkd.models.formats.transkd import from_released, looks_released


def to_segmenter_names(
    state: Mapping[str, Tensor], content: Any, where: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a state dict of any format under the names of a :class:`~transkd.models.Segmenter`.

    Args:
        state: the tensors.
        content: all that their file holds, which may name the classes.
        where: the file, folder or repository, for messages.

    Returns:
        The tensors, and the arguments of the segmenter that the format determines.

    Raises:
        WeightsError: they are in none of the formats; the message says what they seem to be.
    """
    if "head.classifier.weight" in state and any(name.startswith("backbone.") for name in state):
        return dict(state), {}
    if has_transformers_segmenter(state):
        return from_transformers(state), {"norm_eps": TRANSFORMERS_EPS}
    if looks_like_nvlabs(state):
        return from_nvlabs(state), {"class_names": class_names_of(content)}
    if looks_released(state):
        try:
            config, tensors = from_released(state)
        except WeightsError as error:
            raise WeightsError(f"{where}: {error}") from error
        return tensors, config
    raise no_segmenter(state, where)
