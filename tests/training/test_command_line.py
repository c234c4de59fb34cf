"""What results say a run was started by."""

from __future__ import annotations

import sys

import pytest

from transkd.training.results import command_line


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/opt/env/bin/transkd-train", "transkd-train seed=1 'name=a b'"),
        ("/opt/env/lib/python3.11/site-packages/transkd/cli/train.py", "transkd-train seed=1 'name=a b'"),
        ("/mine/train.py", None),
        ("/opt/env/bin/pytest", None),
    ],
)
def test_the_command_is_what_runs_it_again(monkeypatch: pytest.MonkeyPatch, program: str, said: str | None) -> None:
    monkeypatch.setattr(sys, "argv", [program, "seed=1", "name=a b"])
    assert command_line() == said
