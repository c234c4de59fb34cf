"""What a terminal shows while one waits, and that logs, pipes and plain terminals are spared."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping

CODE = """
import time
from transkd.cli.progress import counting, screen, starting, working
with starting("transkd-try"):
    pass
with working("exporting x[red]y"):
    time.sleep(0.3)
with counting(screen()) as bars:
    task = bars.add_task("scoring", total=4, unit="images")
    for _ in range(4):
        time.sleep(0.15)
        bars.advance(task)
print("done")
"""
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def at_a_terminal(code: str, environment: Mapping[str, str]) -> bytes:
    """Return what Python writes to a terminal, standard output and error together."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT | dict(environment)
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            read = os.read(ours, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not read:
            break
        written += read
    os.close(ours)
    assert process.wait() == 0, written
    return written


def test_a_terminal_shows_what_is_done_how_fast_and_how_long() -> None:
    written = at_a_terminal(CODE, {"TERM": "xterm-256color", "COLUMNS": "100"})
    for shown in (b"transkd-try: starting", b"exporting x[red]y", b"scoring"):
        assert shown in written
    assert re.search(rb"[2-4]/4", written)
    assert re.search(rb"\d images/s", written)
    assert b"0:00:0" in written
    assert screen_of(written) == ["done"]


def screen_of(written: bytes) -> list[str]:
    """Return the lines that stay on a terminal, as far as these few movements go: all that is erased is gone."""
    lines, row = [""], 0
    for part in re.split(r"(\r?\n|\r|\x1b\[[\d;?]*[A-Za-z])", written.decode()):
        if part in ("\n", "\r\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("K") and part.startswith("\x1b"):
            lines[row] = ""
        elif part.endswith("A") and part.startswith("\x1b"):
            row = max(0, row - int(part[2:-1] or 1))
        elif not part.startswith(("\x1b", "\r")):
            lines[row] += part
    return [line for line in lines if line]


def test_a_plain_terminal_gets_lines_only() -> None:
    assert at_a_terminal(CODE, {"TERM": "dumb"}) == b"done\r\n"


def test_progress_goes_on_while_a_library_is_silenced() -> None:
    code = """
import contextlib, io, time
from transkd.cli.progress import working
with working("exporting"), contextlib.redirect_stderr(io.StringIO()) as silenced:
    time.sleep(0.5)
assert silenced.getvalue() == ""
"""
    assert at_a_terminal(code, {"TERM": "xterm"}).count(b"exporting") > 2


def test_logs_get_nothing_of_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, env=ENVIRONMENT | {"TERM": "xterm-256color"}, check=True
    )
    assert (done.stdout, done.stderr) == (b"done\n", b"")
