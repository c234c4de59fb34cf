"""transkd-train with the tiny backbones, for tests that need a process of its own.

``SIGNAL_AT=hook:n:number:target`` sends a signal at the n-th call of a callback's hook to this process (``self``)
or to all of its group (``group``).
"""

from __future__ import annotations

import os
from typing import Any

import tiny_backbones  # noqa: F401
from tiny_runs import At

from transkd.cli.app import main
from transkd.training import trainer


def _send_signal() -> None:
    if "SIGNAL_AT" not in os.environ or int(os.environ.get("LOCAL_RANK", "0")):
        return
    hook, n, number, target = os.environ["SIGNAL_AT"].split(":")

    def send(*_: Any) -> None:
        if target == "group":
            os.killpg(os.getpgid(0), int(number))
        else:
            os.kill(os.getpid(), int(number))

    made = trainer._callbacks
    trainer._callbacks = lambda *args: [At(hook, int(n), send), *made(*args)]


if __name__ == "__main__":
    _send_signal()
    main("transkd-train")
