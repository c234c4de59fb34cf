"""JSON files, with one message where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transkd.errors import WeightsError


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds.

    Raises:
        WeightsError: it is not JSON, or holds something else than an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not valid JSON ({error}); copy or download it again") from error
    return content if isinstance(content, dict) else {}
