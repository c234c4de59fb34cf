"""Segmenters from scratch, or on a backbone that has learned ImageNet: published weights, or those of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import timm
from safetensors.torch import load_file
from torch import Tensor, nn

from transkd.errors import ConfigError, WeightsError
from transkd.models.backbones.hierarchy import TimmBackbone
from transkd.models.formats.nvlabs import encoder_from_nvlabs, has_nvlabs_encoder
from transkd.models.formats.recognise import classifier_classes, seems_to_be
from transkd.models.formats.transformers import encoder_from_transformers
from transkd.models.segmenter import Segmenter
from transkd.models.sources.places import HubFileMissingError, hub_file
from transkd.models.weights import FileKind, file_kind, read_pickle, state_shapes, tensor_differences

State = Mapping[str, Tensor]

MIT_NAME = re.compile(r"mit_b[0-5]$")
MIT_LICENSE = "NVIDIA Source Code License for SegFormer: research and evaluation only"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Published(NamedTuple):
    """Where weights are published, and what is known of them.

    Attributes:
        repo_id: the hub's repository, None where they are elsewhere.
        files: the names that the file may have there.
        about: what they learned and under which licence they are, for people.
        mean: of their training's images, per channel.
        std: likewise.
    """

    repo_id: str | None
    files: tuple[str, ...]
    about: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


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
        source: a file of weights (safetensors, or of ``torch.save``, of which nothing is executed), or a folder that
            holds one under the hub's name, instead of the published file: for timm's networks in a layout that timm
            reads, for MiT in transformers' or NVlabs'. The number of its classes does not matter.

    Returns:
        What was loaded, and under which licence, as a line for people.

    Raises:
        ConfigError: nobody publishes weights of this backbone.
        WeightsError: the file cannot be had, is damaged, or is of another network.
    """
    name = str(segmenter.config["backbone"])
    published = _published(name, by_hand=source is not None)
    if source is None:
        state, origin = _published_state(name, published)
        text = f"{origin} ({published.about})"
    else:
        path = _weights_file(Path(source).expanduser())
        state, origin = read_state(path), str(path)
        text = origin
    if MIT_NAME.match(name):
        _load_mit(segmenter.backbone, state, f"{origin} does not fit {name}")
    else:
        _load_timm(segmenter.backbone, name, state, origin)
    _normalise_like(segmenter, published)
    return text


def read_state(path: Path) -> State:
    """Return the state dict of a safetensors file or of a file of ``torch.save``, wrapped by a training script or not.

    Raises:
        WeightsError: it is missing, damaged, or holds no state dict.
    """
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    if file_kind(path) is FileKind.SAFETENSORS:
        try:
            return load_file(path)
        except Exception as error:
            raise WeightsError(f"{path} is damaged ({error}); copy or download it again") from error
    content = read_pickle(path)
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path} holds no state dict, but a {type(content).__name__}; give a file of weights")
    return {str(key).removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)}


def _published(name: str, *, by_hand: bool) -> Published:
    """Return what is known of a backbone's weights; timm knows the normalisation of files that it does not publish."""
    if MIT_NAME.match(name):
        about = f"ImageNet-1k, license: {MIT_LICENSE}"
        return Published(f"nvidia/{name.replace('_', '-')}", HUB_FILES, about, IMAGENET_MEAN, IMAGENET_STD)
    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None or not (config.has_weights or by_hand):
        raise ConfigError(
            f"nobody publishes weights of the backbone '{name}' that could be fetched: start from random ones, or load "
            "a whole segmenter"
        )
    about = f"{_data(config.tag or '')}, license: {config.license or 'not stated'}"
    files = (config.hf_hub_filename,) if config.hf_hub_filename else HUB_FILES
    return Published(config.hf_hub_id, files, about, tuple(config.mean), tuple(config.std))


def _data(tag: str) -> str:
    """Return what timm's tag of a file says that it was trained on."""
    sets = [f"ImageNet-{thousands}k" for thousands in re.findall(r"(?:^|_)in(\d+)k", tag)]
    return ", then ".join(sets) or tag


def _published_state(name: str, published: Published) -> tuple[State, str]:
    if published.repo_id is None:
        raise ConfigError(
            f"timm keeps the weights of {name} outside the Hugging Face hub, at {timm.get_pretrained_cfg(name).url}: "
            "download that file and pass its path"
        )
    repo_id, _, revision = published.repo_id.partition("@")
    *first, last = published.files
    for filename in first:
        try:
            return read_state(hub_file(repo_id, filename, revision=revision or None)), published.repo_id
        except HubFileMissingError:
            continue
    return read_state(hub_file(repo_id, last, revision=revision or None)), published.repo_id


def _weights_file(source: Path) -> Path:
    if not source.is_dir():
        return source
    for name in HUB_FILES:
        if (source / name).is_file():
            return source / name
    raise WeightsError(f"the folder {source} holds no weights: neither {' nor '.join(HUB_FILES)}")


def _load_mit(backbone: nn.Module, state: State, complaint: str) -> None:
    encoder = encoder_from_nvlabs(state) if has_nvlabs_encoder(state) else encoder_from_transformers(state)
    differences = tensor_differences(state_shapes(backbone), {name: tuple(t.shape) for name, t in encoder.items()})
    if differences:
        raise WeightsError(f"{complaint}: {differences}; it seems to be {_seems_to_be(state)}")
    backbone.load_state_dict(encoder)


def _load_timm(backbone: nn.Module, name: str, state: State, origin: str) -> None:
    """Let timm read the state dict into a whole network, strictly, and take from it what the backbone has."""
    options = dict(backbone.hierarchy.options) if isinstance(backbone, TimmBackbone) else {}
    classes = _classes(name, state)
    try:
        whole = timm.create_model(
            name,
            pretrained=True,
            num_classes=classes,
            pretrained_cfg_overlay={"state_dict": dict(state), "num_classes": classes, "label_offset": None},
            **options,
        )
    except Exception as error:  # whatever timm's conversion meets in a file of another network
        raise WeightsError(
            f"{origin} does not fit {name}: {_shortened(error)}; it seems to be {_seems_to_be(state)}"
        ) from error
    target = backbone.network if isinstance(backbone, TimmBackbone) else backbone
    tensors = whole.state_dict()
    target.load_state_dict({key: tensors[key] for key in target.state_dict()})


def _classes(name: str, state: State) -> int:
    """Return how many classes the weights tell apart, 0 where they have no classifier."""
    layers: Any = timm.get_pretrained_cfg(name).classifier or ()
    for layer in (layers,) if isinstance(layers, str) else layers:
        if f"{layer}.weight" in state:
            return int(state[f"{layer}.weight"].shape[0])
    return classifier_classes({key: tuple(tensor.shape) for key, tensor in state.items()}) or 0


def _seems_to_be(state: State) -> str:
    return seems_to_be({name: tuple(tensor.shape) for name, tensor in state.items()})


def _shortened(error: Exception) -> str:
    """Return the start of each kind of difference that PyTorch lists, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line if len(line) < 160 else f"{line[:160]}…" for line in lines[:4]) or type(error).__name__


def _normalise_like(segmenter: Segmenter, published: Published) -> None:
    for key, values in (("mean", published.mean), ("std", published.std)):
        segmenter.config[key] = [float(value) for value in values]
        buffer: Tensor = getattr(segmenter, key)
        buffer.copy_(buffer.new_tensor(values).view(3, 1, 1))
