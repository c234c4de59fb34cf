"""Where a run speaks."""

from __future__ import annotations

import rich
from rich.console import Console

from transkd.training.trainer import PLAIN_WIDTH, new_console


def test_at_a_terminal_it_is_the_console_of_the_progress_bars(monkeypatch) -> None:
    terminal = Console(force_terminal=True)
    monkeypatch.setattr(rich, "_console", terminal)
    assert rich.get_console() is terminal
    assert new_console() is terminal
    quiet = new_console(quiet=True)
    assert quiet is not terminal
    assert quiet.quiet


def test_elsewhere_it_is_wide(monkeypatch) -> None:
    monkeypatch.setattr(rich, "_console", Console(force_terminal=False, width=40))
    assert new_console().width == PLAIN_WIDTH
