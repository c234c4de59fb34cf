"""What the tests of several rooms share: tiny scenes, and configs as the commands compose them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from omegaconf import OmegaConf

from transkd.cli.compose import composing
from transkd.data.synth import write_scenes

TRAIN_SCENES, VAL_SCENES = 12, 5


@pytest.fixture(scope="session")
def scenes_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training and five validation scenes of 64x64 pixels, in Cityscapes' layout."""
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root, train=TRAIN_SCENES, val=VAL_SCENES, size=(64, 64), workers=0, colour=False)
    return root


@pytest.fixture(scope="session")
def compose_config() -> Callable[..., dict[str, Any]]:
    """Compose the config of transkd-train, or another command, into plain containers as its function gets them."""

    def composed(*overrides: str, command: str = "transkd-train") -> dict[str, Any]:
        with composing(command) as primary:
            config = compose(primary, list(overrides))
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)
        return values

    return composed
