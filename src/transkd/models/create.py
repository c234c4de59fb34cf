"""Segmenters from scratch, or on a backbone that has learned ImageNet: published weights, or those of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from transkd.errors import ConfigError, WeightsError
from transkd.models.backbones.timm_network import TimmBackbone
from transkd.models.formats.published import mit_encoder
from transkd.models.formats.recognise import classifier_classes, seems_to_be
from transkd.models.hub import WEIGHTS_FILES, read_weights
from transkd.models.segmenter import Segmenter
from transkd.models.weights import read_state, tensor_differences

MIT_NAME = re.compile(r"mit_b[0-5]$")
MIT_LICENSE = "NVIDIA Source Code License for SegFormer: research and evaluation only"


def create_segmenter(
    backbone: str, num_classes: int = 19, *, pretrained: bool | str | Path = False, **options: Any
) -> Segmenter:
    """Make a segmenter from scratch, or on a backbone that has learned ImageNet.

    Args:
        backbone: a name of ``available_backbones()``, for example ``"mit_b0"``, or of any hierarchical network of
            timm, for example ``"swin_tiny_patch4_window7_224"``.
        num_classes: K, channels of the logits.
        pretrained: fill the backbone with its published weights, or with those of a file; see
            :func:`~load_pretrained`. The segmenter takes over their normalisation.
        **options: the further arguments of ``Segmenter``.

    Raises:
        ConfigError: an unknown backbone, options that do not fit, or no published weights.
        WeightsError: weights that cannot be fetched, or are of another network.
    """
    segmenter = Segmenter(backbone, num_classes, **options)
    if pretrained is not False:
        if given := sorted({"mean", "std"} & options.keys()):
            raise ConfigError(f"{' and '.join(given)} cannot be chosen with pretrained weights, which have their own")
        load_pretrained(segmenter, None if pretrained is True else pretrained)
    return segmenter


def load_pretrained(segmenter: Segmenter, source: str | Path | None = None) -> str:
    """Fill a segmenter's backbone with weights that have learned ImageNet, and take over their normalisation.

    timm's networks and PVTv2 get timm's weights; a name that ends in a tag, such as
    ``swin_tiny_patch4_window7_224.ms_in1k``, says which. MiT gets the ``nvidia/mit-b*`` files of the Hugging Face
    hub, which are under NVIDIA's source code license for SegFormer: for research and evaluation only. Files come
    through huggingface_hub's cache. The head stays as it is.

    Args:
        segmenter: it is changed in place.
        source: a file of weights (see :func:`~transkd.models.weights.read_state`), or a folder that holds one under the
            hub's name, instead of the published file: for timm's networks under names that timm reads, for MiT under
            transformers' or NVlabs'. The number of its classes does not matter.

    Returns:
        What was loaded, and under which licence, as a line of text.

    Raises:
        ConfigError: nobody publishes weights of this backbone.
        WeightsError: the file cannot be fetched, is damaged, or is of another network.
    """
    name = str(segmenter.config["backbone"])
    published = _published(name, from_file=source is not None)
    if source is not None:
        path = Path(source).expanduser()
        state, origin = read_weights(path) if path.is_dir() else read_state(path), str(path)
        text = origin
    elif published.repository is not None:
        state, origin = read_weights(published.repository, published.files), published.repository
        text = f"{origin} ({published.about})"
    else:
        raise ConfigError(
            f"timm keeps the weights of {name} outside the Hugging Face hub, at {timm.get_pretrained_cfg(name).url}: "
            "download that file and pass its path"
        )
    try:
        if MIT_NAME.match(name):
            encoder = mit_encoder(state)
            if differences := tensor_differences(segmenter.backbone.state_dict(), encoder):
                raise WeightsError(differences)
            segmenter.backbone.load_state_dict(encoder)
        else:
            _load_timm(segmenter.backbone, name, state)
    except Exception as error:  # whatever timm's conversion raises for a file of another network
        reason = " ".join(line.strip()[:400] for line in str(error).splitlines()[:4]) or type(error).__name__
        raise WeightsError(f"{origin} does not fit {name}: {reason}; it seems to be {seems_to_be(state)}") from error
    for key, values in (("mean", published.mean), ("std", published.std)):
        segmenter.config[key] = [float(value) for value in values]
        buffer: Tensor = getattr(segmenter, key)
        buffer.copy_(buffer.new_tensor(values).view(3, 1, 1))
    return text


class Published(NamedTuple):
    """Published weights of a backbone."""

    repository: str | None  # of the hub, None where they are elsewhere
    files: tuple[str, ...]  # the names that the file may have there
    about: str  # what they learned and under which licence they are
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _published(name: str, *, from_file: bool) -> Published:
    """Return a backbone's published weights; timm knows the normalisation of files that it does not publish."""
    if MIT_NAME.match(name):
        repository, about = f"nvidia/{name.replace('_', '-')}", f"ImageNet-1k, license: {MIT_LICENSE}"
        return Published(repository, WEIGHTS_FILES, about, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None or not (config.has_weights or from_file):
        raise ConfigError(
            f"nobody publishes weights of the backbone '{name}' that could be fetched: start from random ones, or load "
            "a whole segmenter"
        )
    files, tag = (config.hf_hub_filename,) if config.hf_hub_filename else WEIGHTS_FILES, config.tag or ""
    learned = [f"ImageNet-{thousands}k" for thousands in re.findall(r"(?:^|_)in(\d+)k", tag)]
    about = f"{', then '.join(learned) or tag}, license: {config.license or 'not stated'}"
    return Published(config.hf_hub_id or None, files, about, tuple(config.mean), tuple(config.std))


def _load_timm(backbone: nn.Module, name: str, state: Mapping[str, Tensor]) -> None:
    """Let timm read the state dict into a whole network, strictly, and take from it what the backbone has."""
    layers: Any = timm.get_pretrained_cfg(name).classifier or ()
    heads = [f"{layer}.weight" for layer in ((layers,) if isinstance(layers, str) else layers)]
    classes = next((state[head].shape[0] for head in heads if head in state), classifier_classes(state) or 0)
    whole = timm.create_model(
        name,
        pretrained=True,
        num_classes=classes,
        pretrained_cfg_overlay={"state_dict": dict(state), "num_classes": classes, "label_offset": None},
        **(backbone.hierarchy.options if isinstance(backbone, TimmBackbone) else {}),
    )
    target = backbone.network if isinstance(backbone, TimmBackbone) else backbone
    tensors = whole.state_dict()
    target.load_state_dict({key: tensors[key] for key in target.state_dict()})
