"""A column of progress bars that rich does not have."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.text import Text


class Speed(ProgressColumn):
    """How much is done in a second, or how long one takes where that is more."""

    def render(self, task: Task) -> Text:
        """Return the speed, empty until it is known."""
        speed = task.finished_speed or task.speed
        units = str(task.fields.get("unit", ""))
        if not speed:
            return Text("")
        if speed >= 1:
            return Text(f"{speed:.1f} {units}/s" if units else f"{speed:.1f}/s")
        return Text(f"{1 / speed:.1f} s each")
