"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from transkd.errors import first_line
from transkd.files import replacing, write_text


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_once_it_is_whole(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    with replacing(path, durable=durable) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.json", "new")]


def test_an_error_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")

    def stop() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.json", "old")]


@pytest.mark.parametrize(
    ("error", "line"), [(ValueError("\n one\ntwo"), "one"), (EOFError(), "EOFError"), ("text", "text")]
)
def test_first_line(error: object, line: str) -> None:
    assert first_line(error) == line
