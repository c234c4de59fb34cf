"""Shared by the tests of scores and pictures."""

from __future__ import annotations

import pytest
from written_names import Written


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """Record what is written into pictures."""
    return Written(monkeypatch)
