"""Run the examples of a page that shows what commands answer, and insert their answers.

    python scripts/docs_console.py docs/reference/errors.md

Of a ```console block, each line that begins with "$ " is run, in an empty folder and in order; what follows it is the
command's error message, or nothing where it went well. The folder's own path is written as "…".
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code, standard output, and its error message without what came before."""

    code: int
    out: str
    message: str


def run_command(argv: list[str]) -> Answer:
    """Run a command of transkd in this process and in the current folder; torch's global settings stay as they were."""
    import torch
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    from transkd.cli.app import main

    threads = torch.get_num_threads()
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", argv):
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main(argv[0])
            code: object = 0
        except SystemExit as end:
            code = end.code
        finally:
            GlobalHydra.instance().clear()
            HydraConfig.instance().cfg = None
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(False)
    _, found, message = err.getvalue().partition(f"{argv[0]}: ")
    return Answer(code if isinstance(code, int) else int(bool(code)), out.getvalue(), f"{found}{message}".rstrip())


@dataclass(frozen=True)
class Console:
    """Runs commands in a folder, those of transkd in this process."""

    folder: Path

    def run(self, line: str) -> Answer:
        """Run one command line.

        Raises:
            subprocess.CalledProcessError: a command of another program failed.
        """
        arguments = shlex.split(line)
        with contextlib.chdir(self.folder):
            if not arguments[0].startswith("transkd-"):
                subprocess.run(line, shell=True, check=True)
                return Answer(0, "", "")
            answer = run_command(arguments)
        return replace(answer, message=answer.message.replace(str(self.folder), "…"))

    def answered(self, page: str) -> str:
        """Return a page with the answers of all its console blocks."""
        return BLOCK.sub(lambda block: self._answered_block(block[0]), page)

    def _answered_block(self, block: str) -> str:
        lines: list[str] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                answer = self.run(line.removeprefix("$ "))
                lines += [line, *(answer.message.splitlines() if answer.code else [])]
        return "\n".join([*lines, ""])


def main() -> None:
    """Rewrite the pages that are named."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in sys.argv[1:]:
        page = Path(name).resolve()
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(
                Console(Path(folder).resolve()).answered(page.read_text(encoding="utf-8")), encoding="utf-8"
            )


if __name__ == "__main__":
    main()
