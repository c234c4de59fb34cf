"""What a custom folder takes as ``data.options``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import Field

from transkd.data.colour_masks import MaskKind
from transkd.errors import ConfigError

SplitBy = Literal["auto", "folders", "lists", "fraction"]
_SAID = {"folders": "folders", "fraction": "a fraction"}


@dataclass(frozen=True)
class FolderOptions:
    """The options.

    Attributes:
        classes: names, a mapping, or a file; None for ``classes.yaml`` in the root.
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
        ConfigError: if the two folders contradict each other; names the key.
    """

    classes: Any = None
    images: str | None = None
    masks: str | None = None
    image_suffix: str = ""
    mask_suffix: str = ""
    masks_hold: MaskKind = "auto"
    splits: SplitBy = "auto"
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split_seed: int = 0
    group: str | None = None

    def __post_init__(self) -> None:
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
