"""Execute the notebooks in place, and keep of their outputs what is the same every time.

Each runs in a kernel of its own, in an empty temporary folder; what it writes is thrown away.

    python scripts/run_notebooks.py                                # all of notebooks/
    python scripts/run_notebooks.py notebooks/1_distil.ipynb       # one
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
TIMEOUT_SECONDS = 900
NO_WIDGETS = "ignore:IProgress not found"  # tqdm's, where ipywidgets is not installed, which nothing here needs
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def execute(path: Path, folder: Path) -> NotebookNode:
    """Return a notebook as it is after it ran from top to bottom.

    Args:
        path: the notebook.
        folder: where it runs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with tempfile.TemporaryDirectory(prefix="ipython-") as settings:
        environment = {**os.environ, "PATH": commands, "IPYTHONDIR": settings, "PYTHONWARNINGS": NO_WIDGETS}
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT_SECONDS,
            kernel_name=KERNEL["name"],
            record_timing=False,
            extra_arguments=["--IPKernelApp.log_level=40"],
        )
        client.execute(cwd=str(folder), env=environment)
    return notebook


def strip_noise(notebook: NotebookNode) -> None:
    """Leave what a reader sees: no cell's time, no machine, no second form of a picture."""
    notebook.metadata = NotebookNode(kernelspec=KERNEL, language_info={"name": "python"})
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = NotebookNode()
        for output in cell.get("outputs", []):
            output.pop("metadata", None) if output.output_type == "stream" else output.update(metadata={})
            data = output.get("data", {})
            if "image/png" in data:
                data.pop("image/jpeg", None)


def run_in_place(path: Path) -> None:
    """Execute a notebook and write it back with its outputs."""
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        notebook = execute(path, Path(folder))
    strip_noise(notebook)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main() -> None:
    """Run the notebooks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="which (all of notebooks/)")
    named: list[Path] = parser.parse_args().notebooks
    if missing := [str(path) for path in named if not path.is_file()]:
        parser.error(f"there is no {', '.join(missing)}")
    for path in named or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(f"running {path.name}", flush=True)
        run_in_place(path)


if __name__ == "__main__":
    main()
