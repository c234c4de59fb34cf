from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))  # released_names: the release's tensor names


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
