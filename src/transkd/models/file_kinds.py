"""What kind of file something is, by its first bytes and never by its name."""

from __future__ import annotations

import tarfile
import zipfile
from enum import Enum
from pathlib import Path

from transkd.errors import WeightsError

_HEAD_BYTES = 512
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, which stands for the file",
        "fetch the file itself: git lfs pull",
    ),
    (b"\x89PNG", "a PNG image", "give a file of weights"),
    (b"\xff\xd8\xff", "a JPEG image", "give a file of weights"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras and TensorFlow write", "give weights for PyTorch"),
    (b"\x1f\x8b", "a gzip archive", "unpack it and give what is inside"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it and give what is inside"),
    (b"Rar!", "a rar archive", "unpack it and give what is inside"),
    (b"GGUF", "a GGUF file of a language model", "give weights of a segmenter"),
    (b"\x93NUMPY", "a numpy array", "give a file of weights"),
    (b"%PDF", "a PDF document", "give a file of weights"),
)
_MARKUP = (b"<!doctype html", b"<html", b"<?xml", b"<head")
_ONNX_SECOND_FIELDS = {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72}


class FileKind(Enum):
    """Kinds of files that models come in."""

    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    ONNX = "onnx"
    TORCH_EXPORT = "torch.export"
    TORCHSCRIPT = "torchscript"
    JSON = "json"


def file_kind(path: Path) -> FileKind:
    """Return what kind of file ``path`` is.

    Raises:
        WeightsError: it is empty, truncated, unreadable, or nothing that a model comes in; the message says what it is.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    if size == 0:
        raise WeightsError(f"{path} is empty (0 bytes); copy or download it again")
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic):
            raise WeightsError(f"{path} is {what} ({size} bytes), not weights; {remedy}")
    if head.lstrip().lower().startswith(_MARKUP):
        raise WeightsError(
            f"{path} is a web page, not weights: the download gave the page of the file or a message; download it again"
        )
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path, size)
    return _kind_of_head(head, path, size)


def _kind_of_head(head: bytes, path: Path, size: int) -> FileKind:
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") >= 2:
        return FileKind.SAFETENSORS
    if head.lstrip()[:1] in (b"{", b"["):
        return FileKind.JSON
    if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= 32 and head[2] in _ONNX_SECOND_FIELDS:
        return FileKind.ONNX
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return FileKind.PICKLE
    if tarfile.is_tarfile(path):
        raise WeightsError(f"{path} is a tar archive, not weights; unpack it and give what is inside")
    raise WeightsError(
        f"{path} ({size} bytes) is no file of weights, or a damaged one: it is neither safetensors nor a PyTorch file; "
        "copy or download it again"
    )


def _zip_kind(path: Path, size: int) -> FileKind:
    try:
        with zipfile.ZipFile(path) as container:
            names = container.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is truncated or damaged: {size} bytes of a PyTorch file or zip archive without its end; "
            "copy or download it again"
        ) from error
    inside = {name.partition("/")[2] for name in names}
    if "archive_format" in inside or "serialized_exported_program.json" in {*names, *inside}:
        return FileKind.TORCH_EXPORT
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return FileKind.TORCHSCRIPT
    if "data.pkl" in inside:
        return FileKind.PICKLE
    raise WeightsError(
        f"{path} is a zip archive, not weights: it holds {', '.join(names[:3]) or 'nothing'}"
        f"{', …' if len(names) > 3 else ''}; unpack it and give what is inside"
    )
