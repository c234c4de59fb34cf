"""Shell blocks run by bash itself, with the commands of transkd served by this process, which has torch loaded already.

Each ``transkd-NAME`` on the block's PATH is a few lines that hand their arguments, folder, environment and the three
standard streams to this process, and wait for the exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from doc_small import Shrink, as_it_is, checked_only, has_launcher, small
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from transkd.cli.app import main

COMMANDS = ("train", "eval", "predict", "export", "profile", "data", "report", "doctor")
CHECK = "TRANSKD_DOCS_CHECK"
ASK = """
import array, json, os, socket, sys
link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
link.connect(os.environ["TRANSKD_DOCS_SOCKET"])
task = json.dumps({"argv": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}) + "\\n"
socket.send_fds(link, [b"0"], [0, 1, 2])
link.sendall(task.encode())
sys.exit(int(link.makefile().readline() or 70))
"""


@dataclass
class Call:
    """A command that a block called: its arguments, whether it was only checked, its exit code and last words."""

    argv: list[str]
    checked: bool
    code: int
    error: str = ""


@dataclass
class Ran:
    """What became of a script."""

    code: int
    output: str
    calls: list[Call] = field(default_factory=list)


class Shell:
    """Runs scripts in a folder.

    Args:
        folder: where scripts start.
        shrink: changes the composed config of a command that runs, so that it ends at once.
    """

    def __init__(self, folder: Path, shrink: Shrink = as_it_is) -> None:
        self.folder = folder
        self.shrink = shrink

    def run(self, script: str) -> Ran:
        """Run a script by ``bash -eu -o pipefail``."""
        with tempfile.TemporaryDirectory() as short, contextlib.ExitStack() as stack:
            place = Path(short)
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(str(place / "s"))
            listener.listen()
            output = stack.enter_context((place / "output").open("w+"))
            environment = {
                **os.environ,
                "PATH": f"{_programs(place)}:/usr/local/bin:/usr/bin:/bin",
                "TRANSKD_DOCS_SOCKET": str(place / "s"),
            }
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            ran = Ran(-1, "")
            while process.poll() is None:
                if select.select([listener], [], [], 0.02)[0]:
                    with listener.accept()[0] as link:
                        ran.calls.append(self._serve(link))
            output.seek(0)
            ran.code, ran.output = process.returncode, output.read()
            return ran

    def _serve(self, link: socket.socket) -> Call:
        _, streams, *_ = socket.recv_fds(link, 1, 3)
        task = json.loads(link.makefile().readline())
        with contextlib.ExitStack() as stack:
            _, out, err = (stack.enter_context(open(fd, mode)) for fd, mode in zip(streams, "rww", strict=True))  # noqa: PTH123
            stack.enter_context(contextlib.redirect_stdout(out))
            said = stack.enter_context(contextlib.redirect_stderr(_Kept(err)))
            stack.enter_context(contextlib.chdir(task["folder"]))
            stack.enter_context(mock.patch.dict(os.environ, task["environment"], clear=True))
            only_check = CHECK in task["environment"]
            code = 0
            if self.shrink is small and has_launcher(task["argv"]):
                code = call(task["argv"], checked_only)
            code = code or call(task["argv"], checked_only if only_check else self.shrink)
            if self.shrink is small and task["argv"][0] == "transkd-doctor" and code == 1:
                code = 0  # it found something wrong with the machine that runs the tests
            out.flush()
        with contextlib.suppress(BrokenPipeError):
            link.sendall(f"{code}\n".encode())
        return Call(task["argv"], only_check, code, said.text[-3000:])


class _Kept:
    """A stream that remembers what it was given."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def call(argv: list[str], shrink: Shrink) -> int:
    """Call a command in this process, its config shrunk; return its exit code."""
    threads = torch.get_num_threads()
    try:
        with shrink(argv[0], argv) as arguments, mock.patch.object(sys, "argv", arguments):
            main(argv[0])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # a bug: the reader would see a traceback
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 70
    finally:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    return 0


def _programs(place: Path) -> Path:
    """Write the programs of a block's PATH that are not the system's."""
    folder = place / "bin"
    folder.mkdir()
    (place / "ask.py").write_text(ASK)
    programs = {f"transkd-{name}": f'"{place}/ask.py" transkd-{name}' for name in COMMANDS}
    for name, text in programs.items():
        _executable(folder / name, f'exec "{sys.executable}" -IS {text} "$@"')
    for name in ("python", "python3"):
        _executable(folder / name, f'exec "{sys.executable}" "$@"')
    return folder


def _executable(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@contextlib.contextmanager
def fresh_modules(folder: Path) -> Iterator[None]:
    """Forget, afterwards, the modules that were imported from a folder and what they registered."""
    from transkd.data import datasets
    from transkd.distillation import registry as losses
    from transkd.models import heads
    from transkd.models.backbones import registry as backbones

    kept = [(named, dict(named)) for named in (losses._LOSSES, backbones._BACKBONES, heads._HEADS, datasets._LAYOUTS)]
    before = set(sys.modules)
    try:
        yield
    finally:
        for named, content in kept:
            named.clear()
            named.update(content)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if (file and not Path(file).is_absolute()) or file.startswith(str(folder)):
                del sys.modules[name]
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()
