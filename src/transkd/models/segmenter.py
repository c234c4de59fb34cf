"""The segmenter: a backbone and a decode head, from image to class logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from transkd.errors import ConfigError, WeightsError, first_few
from transkd.models.backbones import find_backbone
from transkd.models.formats.recognise import seems_to_be
from transkd.models.heads import find_head
from transkd.models.hub import hub_file
from transkd.models.taps import Taps
from transkd.models.weights import CONFIG_FILE, WEIGHTS_FILE, read_state, save_weights, tensor_differences
from transkd.options import SMALLEST_SIDE, Positive, PositiveFloat, Share, signature_problems

Epsilon = Annotated[float, Field(gt=0, lt=1)]
_THREE = Field(min_length=3, max_length=3)
RGB = Annotated[Sequence[Annotated[float, Field(allow_inf_nan=False)]], _THREE]
PositiveRGB = Annotated[Sequence[PositiveFloat], _THREE]
Palette = Sequence[Annotated[Sequence[Annotated[int, Field(ge=0, le=255)]], _THREE]]


class Segmenter(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="transkd",
    tags=["semantic-segmentation", "knowledge-distillation"],
    pipeline_tag="image-segmentation",
    license="apache-2.0",
    paper_url="https://arxiv.org/abs/2202.13393",
):
    """A network from image to class logits that also shows its stages, for distillation.

    Images are uint8 (B, 3, H, W), or floating point in [0, 1], of any size from 32 pixels a side; the
    segmenter scales and normalises them itself. ``save_pretrained``, ``push_to_hub`` and ``from_pretrained`` are those
    of huggingface_hub's mixin; :func:`~transkd.models.load_segmenter` loads other forms too.

    Attributes:
        backbone: from normalised images to patch embeddings and feature maps.
        head: from feature maps to logits.
        channels: C_i, channels of each stage's patch embedding and feature map.
        strides: s_i, stride of each stage's maps.
        num_classes: K, channels of the logits.
        class_names: the classes' names where known.
        palette: the classes' colours where known.
        config: the arguments that make this segmenter again, as they are saved in ``config.json``.

    Args:
        backbone: a name of ``available_backbones()``, or of any hierarchical network of timm.
        num_classes: K.
        head: name of the decode head; None takes the one that its authors gave the backbone.
        head_width: channels of the head; None takes what the backbone's size calls for.
        class_names: K names.
        palette: K colours, each red, green and blue of 0 to 255, which pictures show the classes in.
        mean: per channel, of images in [0, 1].
        std: per channel, of images in [0, 1].
        drop_path_rate: stochastic depth of the deepest block; it grows linearly from 0 over all blocks. None
            takes the backbone's own.
        dropout: share of the head's channels that training drops.
        norm_eps: epsilon of all layer norms of the backbone; None leaves each at the backbone's own. Other
            libraries round theirs (transformers' SegFormers have 1e-5), and weights taken from there keep it.

    Raises:
        ConfigError: an unknown backbone or head, or values that do not fit together.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str = "mit_b0",
        num_classes: Positive = 19,
        *,
        head: str | None = None,
        head_width: Positive | None = None,
        class_names: Sequence[str] | None = None,
        palette: Palette | None = None,
        mean: RGB = (0.485, 0.456, 0.406),
        std: PositiveRGB = (0.229, 0.224, 0.225),
        drop_path_rate: Share | None = None,
        dropout: Share = 0.1,
        norm_eps: Epsilon | None = None,
    ) -> None:
        super().__init__()
        entry = find_backbone(backbone)
        head = entry.head if head is None else head
        head_entry = find_head(head)
        if head_width is None:
            head_width = entry.segformer_width if head == "segformer" else head_entry.width
        rate = entry.drop_path_rate if drop_path_rate is None else drop_path_rate
        self.config: dict[str, Any] = {
            "backbone": backbone,
            "num_classes": num_classes,
            "head": head,
            "head_width": head_width,
            "class_names": None if class_names is None else list(class_names),
            "palette": None if palette is None else [[int(value) for value in colour] for colour in palette],
            "mean": [float(value) for value in mean],
            "std": [float(value) for value in std],
            "drop_path_rate": rate,
            "dropout": dropout,
            "norm_eps": norm_eps,
        }
        if problems := signature_problems(Segmenter.__init__, self.config, given=("self",)):
            raise ConfigError("; ".join(map(str, problems)))
        for key in ("class_names", "palette"):
            if self.config[key] is not None and len(self.config[key]) != num_classes:
                raise ConfigError(f"{key}: has {len(self.config[key])} entries for num_classes={num_classes}")
        self._hub_mixin_config = self.config  # what save_pretrained writes
        self.backbone: nn.Module = entry.build(rate)
        if norm_eps is not None:
            for module in self.backbone.modules():
                if isinstance(module, nn.LayerNorm):
                    module.eps = norm_eps
        self.channels: tuple[int, ...] = self.backbone.channels
        self.strides: tuple[int, ...] = self.backbone.strides
        self.num_classes = num_classes
        self.class_names = None if class_names is None else tuple(class_names)
        self.palette = None if palette is None else tuple((int(r), int(g), int(b)) for r, g, b in palette)
        self.head = head_entry.build(self.channels, num_classes, head_width, dropout)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(self.config[name]).view(3, 1, 1), persistent=False)

    @property
    def missing_embeddings(self) -> str | None:
        """Why the backbone has no patch embeddings to tap, as a sentence; None where it has."""
        reason: str | None = getattr(self.backbone, "missing_embeddings", None)
        return reason

    def forward(self, images: Tensor) -> Tensor:
        """Return class logits (B, K, ceil(H/4), ceil(W/4)) of ``images`` (B, 3, H, W)."""
        return self.decode(self.backbone(self.normalise(images))[1])

    def taps(self, images: Tensor, logits: bool = False) -> Taps:
        """Return what the distillation losses compare.

        Args:
            images: (B, 3, H, W).
            logits: also run the head, which for large segmenters is a large part of the work.
        """
        normalised = self.normalise(images)
        embeddings, features = self.backbone(normalised)
        return Taps(normalised, embeddings, features, self.decode(features) if logits else None)

    def encode(self, images: Tensor) -> Taps:
        """Return the taps of ``images`` (B, 3, H, W) without logits."""
        return self.taps(images)

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Return class logits (B, K, H_1, W_1) of the feature maps (B, C_i, H_i, W_i) of every stage."""
        logits: Tensor = self.head(features)
        return logits

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return the class of every pixel, (B, H, W) int64, from logits resized bilinearly to the images' size.

        The segmenter stays in the mode that it is in: call ``eval()`` first.

        Args:
            images: (B, 3, H, W).
        """
        logits = self(images).float()
        classes: Tensor = F.interpolate(logits, images.shape[2:], mode="bilinear").argmax(dim=1)
        return classes

    def normalise(self, images: Tensor) -> Tensor:
        """Scale uint8 images to [0, 1], and normalise with the segmenter's mean and standard deviation.

        Args:
            images: (B, 3, H, W), uint8 or floating point in [0, 1]; the result is of the segmenter's type.

        Raises:
            ValueError: another type or shape, or a side of less than 32 pixels.
        """
        check_images(images)
        values = images.to(self.mean.dtype)
        if images.dtype == torch.uint8:
            values = values / 255
        return (values - self.mean) / self.std

    def _save_pretrained(self, save_directory: Path) -> None:
        save_weights(self, save_directory / WEIGHTS_FILE)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **model_kwargs: Any,
    ) -> Segmenter:
        if "backbone" not in model_kwargs:
            raise WeightsError(
                f"{model_id} holds no {CONFIG_FILE} of a transkd segmenter; transkd.load_segmenter loads other forms"
            )
        options = {"cache_dir": cache_dir, "force_download": force_download, "token": token}
        weights = Path(model_id) / WEIGHTS_FILE
        if not Path(model_id).is_dir():
            weights = hub_file(model_id, WEIGHTS_FILE, revision=revision, local_files_only=local_files_only, **options)
        return filled_segmenter(model_kwargs, read_state(weights), CONFIG_FILE, str(weights))


def filled_segmenter(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], config_from: str, tensors_from: str
) -> Segmenter:
    """Return the segmenter of saved arguments and tensors, in evaluation mode; messages name where these are from.

    Raises:
        WeightsError: arguments that make no segmenter, or tensors that are not exactly those of it, are quantised or
            not finite.
    """
    try:
        segmenter = Segmenter(**config)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{config_from} describes no segmenter of this version: {error}") from error
    state = segmenter.state_dict()
    if differences := tensor_differences(state, tensors):
        guess = "" if state.keys() & tensors.keys() else f"; it seems to be {seems_to_be(tensors)}"
        raise WeightsError(
            f"{tensors_from} does not fit the {config['backbone']} segmenter of {config_from}: {differences}{guess}"
        )
    quantised = [n for n, t in tensors.items() if state[n].is_floating_point() and not t.is_floating_point()]
    infinite = [name for name, t in tensors.items() if not torch.isfinite(t).all()]
    if names := quantised or infinite:
        what = "are not floating point, as quantised weights" if quantised else "hold NaN or infinite values"
        raise WeightsError(f"{tensors_from}: {len(names)} tensors {what}: {first_few(names)}; give others")
    segmenter.load_state_dict(dict(tensors))
    return segmenter.eval()


def check_images(images: Tensor) -> None:
    """Raise a ``ValueError`` unless ``images`` are uint8 or floating point (B, 3, H, W) of at least 32 x 32 pixels."""
    if not isinstance(images, Tensor):
        raise ValueError(
            f"images must be a torch tensor (B, 3, H, W), not {type(images).__name__}; an array (H, W, 3) of numpy "
            "becomes one by torch.from_numpy(array).permute(2, 0, 1)[None]"
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images must be uint8, or floating point in [0, 1], not {images.dtype}")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must have the shape (B, 3, H, W), not {tuple(images.shape)}")
    if min(images.shape[2:]) < SMALLEST_SIDE:
        height, width = images.shape[2:]
        raise ValueError(
            f"images of {height}x{width} pixels are too small: resize or pad them to at least "
            f"{SMALLEST_SIDE} pixels a side"
        )
