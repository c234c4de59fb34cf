"""What a custom folder takes as ``data.options``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from transkd.data.colour_masks import MASK_KINDS, MaskKind
from transkd.errors import ConfigError, did_you_mean

SplitBy = Literal["auto", "folders", "lists", "fraction"]
_SAID = {"folders": "folders", "fraction": "a fraction"}


@dataclass(frozen=True)
class FolderOptions:
    """The options, checked.

    Attributes:
        images: the folder of the images below the root, in which ``{split}`` stands for the split; None: found by name.
        masks: likewise of the masks.
        image_suffix: what image names end in that mask names do not.
        mask_suffix: what mask names end in that image names do not.
        masks_hold: "ids", "colours", or "auto" for what each file holds.
        splits: what makes the splits; "auto" takes lists or folders, whichever is there, else the fraction.
        val_fraction: the share of the scenes that is the validation split, where a fraction makes it.
        split_seed: what is drawn from then.
        group: the column of the lists that scores are grouped by; None takes "group", where there is one.

    Raises:
        ConfigError: if a value makes no sense; names the key.
    """

    images: str | None = None
    masks: str | None = None
    image_suffix: str = ""
    mask_suffix: str = ""
    masks_hold: MaskKind = "auto"
    splits: SplitBy = "auto"
    val_fraction: float = 0.2
    split_seed: int = 0
    group: str | None = None

    def __post_init__(self) -> None:
        for key in ("images", "masks", "group"):
            _check(key, getattr(self, key), (str, type(None)), "text, or null")
        for key in ("image_suffix", "mask_suffix"):
            _check(key, getattr(self, key), (str,), "text")
        for key, known in (("masks_hold", MASK_KINDS), ("splits", get_args(SplitBy))):
            value = getattr(self, key)
            if value not in known:
                raise ConfigError(f"data.options.{key}: there is no such choice; {did_you_mean(str(value), known)}")
        _check("val_fraction", self.val_fraction, (float, int), "a number between 0 and 1")
        _check("split_seed", self.split_seed, (int,), "a whole number")
        if not 0 < self.val_fraction < 1:
            raise ConfigError(f"data.options.val_fraction: give a number between 0 and 1 (it is {self.val_fraction})")
        if (self.images is None) != (self.masks is None):
            missing = "masks" if self.masks is None else "images"
            raise ConfigError(f"data.options.{missing}: name both folders, images and masks, or neither")
        if (self.images or "").count("{split}") != (self.masks or "").count("{split}"):
            raise ConfigError("data.options.images: '{split}' stands in both folders, images and masks, or in neither")

    def refuse_unused(self, how: SplitBy) -> None:
        """Raise a ConfigError for an option that the way in which the splits are made takes no notice of.

        Args:
            how: what makes the splits; not "auto".
        """
        if how != "fraction":
            for field in fields(self):
                value = getattr(self, field.name)
                if field.name in ("val_fraction", "split_seed") and value != field.default:
                    raise ConfigError(
                        f"data.options.{field.name}: the splits come from {how}, nothing is drawn: leave it out, or "
                        f"set data.options.splits=fraction (it is {value})"
                    )
        if how != "lists" and self.group is not None:
            raise ConfigError(
                f"data.options.group: the splits come from {_SAID[how]}, but only lists have columns: leave it out, "
                f"or write train.csv and val.csv with a heading such as image,{self.group}"
            )


def _check(key: str, value: object, kinds: tuple[type, ...], wanted: str) -> None:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise ConfigError(f"data.options.{key}: give {wanted} (it is {value!r})")
