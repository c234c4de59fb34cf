"""The notebooks: they run as in Jupyter, keep clean and small outputs, and use what is public."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "scripts"))

import run_notebooks  # noqa: E402

NOTEBOOKS = sorted(run_notebooks.NOTEBOOKS.glob("*.ipynb"))
NAMES = ["1_distil", "2_own_teacher_own_data", "3_write_a_loss", "4_read_results"]
LARGEST_BYTES = 300_000
PUBLIC_MODULES = {
    "transkd",
    "transkd.data",
    "transkd.data.synth",
    "transkd.distillation",
    "transkd.evaluation",
    "transkd.reporting",
}
OF_A_MACHINE = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|usr|opt|var|private|mnt)/|[A-Z]:\\\\|site-packages")
NOISE = re.compile(r"Warning|Traceback|it/s|s/it|\bGPU available|Seed set|\d\d:\d\d:\d\d|\b20\d\d-\d\d-\d\d")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: Any) -> Iterator[str]:
    """Yield every output's text: what is printed and each form of a result that is no picture."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            yield output.get("text", "")
            yield from (text for kind, text in output.get("data", {}).items() if not kind.startswith("image/"))


def python_of(cell: Any) -> ast.Module:
    """Return a cell's syntax tree, which is empty for a cell of shell commands."""
    return ast.parse("" if cell.source.startswith("%%bash") else cell.source)


def kinds_of_outputs(notebook: Any) -> list[list[str]]:
    return [
        sorted({kind for output in cell.outputs for kind in output.get("data", {output.output_type: ""})})
        for cell in code_cells(notebook)
    ]


def transkd_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of all that is taken from transkd, by import or as an attribute of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "transkd")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "transkd":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "transkd":
            yield "transkd", node.attr


def private_names(notebook: Any) -> list[str]:
    used = {pair for cell in code_cells(notebook) for pair in transkd_names(python_of(cell))}
    return sorted(
        f"{module} {name}".strip()
        for module, name in used
        if module not in PUBLIC_MODULES or (name and name not in importlib.import_module(module).__all__)
    )


def test_there_are_four() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.slow
@each_notebook
def test_it_runs_as_in_jupyter(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # more threads than free cores wait for each other
    executed = run_notebooks.execute(path, tmp_path)
    run_notebooks.strip_noise(executed)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"out", "runs"}
    assert not [output for cell in code_cells(executed) for output in cell.outputs if output.output_type == "error"]
    assert kinds_of_outputs(executed) == kinds_of_outputs(read(path))
    assert not [text for text in texts(executed) if OF_A_MACHINE.search(text) or NOISE.search(text)]


@each_notebook
def test_outputs_are_kept(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [kind for kinds in kinds_of_outputs(notebook) for kind in kinds]
    assert "image/png" in shown
    assert len(shown) >= 5
    assert not {"error", "image/jpeg"} & set(shown)


@each_notebook
def test_outputs_are_small_and_clean(path: Path) -> None:
    notebook = read(path)
    assert path.stat().st_size < LARGEST_BYTES
    assert not [text for text in texts(notebook) if OF_A_MACHINE.search(text) or NOISE.search(text)]
    assert not [output for cell in code_cells(notebook) for output in cell.outputs if output.get("name") == "stderr"]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not [cell for cell in notebook.cells if cell.metadata]


@each_notebook
def test_it_uses_what_is_public(path: Path) -> None:
    notebook = read(path)
    assert [name for cell in code_cells(notebook) for name in transkd_names(python_of(cell))]
    assert private_names(notebook) == []


@pytest.mark.parametrize(
    "source",
    [
        "from transkd.training.fitting import fit",
        "import transkd.models.segmenter",
        "transkd.lazy",
        "from transkd import lazy",
        "from transkd.distillation.registry import register_loss",
    ],
)
def test_what_is_private_is_found(source: str) -> None:
    assert private_names(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]))


def test_the_onnx_file_is_run_without_transkd() -> None:
    cells = [cell for cell in code_cells(read(TOP / f"notebooks/{NAMES[1]}.ipynb")) if "onnxruntime" in cell.source]
    (alone,) = [cell for cell in cells if "InferenceSession" in cell.source]
    imported = [
        name
        for node in ast.walk(python_of(alone))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
    ]
    assert "onnxruntime" in imported
    assert not [name for name in imported if name and name.split(".")[0] in ("transkd", "torch", "lightning")]
    assert not re.search(r"\b(transkd\.|torch\.|module\.)", alone.source)


def test_links_lead_somewhere() -> None:
    links = [
        (path, link)
        for path in NOTEBOOKS
        for cell in read(path).cells
        if cell.cell_type == "markdown"
        for link in re.findall(r"\]\(([^)#\s]+)", cell.source)
        if "://" not in link
    ]
    assert len(links) > 4
    assert not [(path.name, link) for path, link in links if not (path.parent / link).is_file()]


def test_noise_is_stripped() -> None:
    picture = {"image/png": "aGk=", "image/jpeg": "aGk=", "text/plain": "picture"}
    output = nbformat.v4.new_output("execute_result", data=picture, metadata={"seconds": 3}, execution_count=1)
    cell = nbformat.v4.new_code_cell("picture", metadata={"execution": {"start": "now"}}, outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"vscode": {}})
    run_notebooks.strip_noise(notebook)
    assert set(notebook.cells[0].outputs[0].data) == {"image/png", "text/plain"}
    assert not notebook.cells[0].metadata
    assert not notebook.cells[0].outputs[0].metadata
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
