"""Exported files, run as segmenters are: ONNX by ONNX Runtime, torch.export programs by torch."""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transkd.errors import WeightsError, first_line
from transkd.models.load import load_segmenter
from transkd.models.programs import check_program
from transkd.models.segmenter import Segmenter, check_images
from transkd.models.weights import file_kind
from transkd.options import SMALLEST_SIDE

METADATA = "transkd"
ONNX_EXTRA = "pip install 'transkd[onnx]'"


class ExportedModel:
    """A segmenter that was exported, for scoring, predicting and profiling.

    Attributes:
        name: the file's name.
        file: the file.
        num_classes: K.
        class_names: K names where known.
        palette: K colours where known.
        result: what the file gives, ``"logits"`` or ``"classes"``.
        input_type: the images it takes, ``"uint8"`` or ``"float"``.
        size: the only height and width it takes, None for any.
        metadata: all that the file holds as its metadata.
    """

    def __init__(self, file: Path, metadata: Mapping[str, Any]) -> None:
        self.file = file
        self.name = file.name
        self.metadata = dict(metadata)
        self.num_classes = int(metadata["num_classes"])
        names, palette, size = (metadata.get(key) for key in ("class_names", "palette", "size"))
        self.class_names: tuple[str, ...] | None = None if names is None else tuple(names)
        self.palette: tuple[tuple[int, int, int], ...] | None = (
            None if palette is None else tuple((int(r), int(g), int(b)) for r, g, b in palette)
        )
        self.size: tuple[int, int] | None = None if size is None else (int(size[0]), int(size[1]))
        self.result: str = metadata["result"]
        self.input_type: str = metadata["input"]

    def _run(self, images: Tensor) -> Tensor:
        raise NotImplementedError  # of each kind of file

    def run(self, images: Tensor) -> Tensor:
        """Return the file's output for images of the type it takes.

        Raises:
            WeightsError: it cannot run these images.
        """
        try:
            return self._run(images)
        except Exception as error:  # ONNX Runtime, and a program's guards and operators, have classes of their own
            size = "x".join(map(str, images.shape[2:]))
            raise WeightsError(
                f"{self.file} cannot run {len(images)} image(s) of {size}: {first_line(error)}"
            ) from error

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits at the images' size.

        Args:
            images: (B, 3, H, W) uint8, or floating point in [0, 1]; converted to what the file takes.

        Returns:
            (B, K, H, W) float32.

        Raises:
            WeightsError: the file gives classes, or takes images of another size only.
            ValueError: another type or shape, or a side of less than 32 pixels.
        """
        if self.result == "classes":
            raise WeightsError(
                f"{self.file} gives class ids, not logits: use predict, or export it again with result=logits"
            )
        return self.run(self._converted(images))

    def predict(self, images: Tensor) -> Tensor:
        """Return the class of every pixel (B, H, W) int64 of images (B, 3, H, W)."""
        answer = self.run(self._converted(images))
        return answer.long() if self.result == "classes" else answer.argmax(dim=1)

    def _converted(self, images: Tensor) -> Tensor:
        check_images(images)
        height, width = images.shape[-2:]
        if self.size not in (None, (height, width)):
            raise WeightsError(
                f"{self.file} was exported for images of {'x'.join(map(str, self.size))}, not {height}x{width}: "
                "resize them, or export with dynamic=true"
            )
        if self.input_type == "uint8":
            return images if images.dtype == torch.uint8 else (images * 255).round().clamp(0, 255).to(torch.uint8)
        return images.float() / 255 if images.dtype == torch.uint8 else images.float()


class OnnxModel(ExportedModel):
    """An ONNX file under ONNX Runtime, on the GPU where its CUDA provider is installed.

    Args:
        file: the ``.onnx`` file.
        threads: how many threads one operator uses; None leaves it to ONNX Runtime.

    Raises:
        WeightsError: ONNX Runtime is not installed, the file is damaged, or it takes or gives something else.
    """

    def __init__(self, file: Path, threads: int | None = None) -> None:
        try:
            runtime: Any = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise WeightsError(f"{file} is an ONNX file, and ONNX Runtime is not installed: {ONNX_EXTRA}") from error
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        available = runtime.get_available_providers()
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
        try:
            self.session = runtime.InferenceSession(str(file), options, providers=providers)
        except Exception as error:  # ONNX Runtime raises classes of its own, without a common base
            raise WeightsError(f"{file} is damaged, or ONNX Runtime cannot run it: {first_line(error)}") from error
        super().__init__(file, _onnx_metadata(file, self.session))

    def _run(self, images: Tensor) -> Tensor:
        feed = {self.session.get_inputs()[0].name: images.cpu().numpy()}
        return torch.from_numpy(self.session.run(None, feed)[0])


def _onnx_metadata(file: Path, session: Any) -> dict[str, Any]:
    """Return the metadata of a file of ours, or what follows from the input and output of another one."""
    stored = session.get_modelmeta().custom_metadata_map
    if METADATA in stored:
        metadata: dict[str, Any] = json.loads(stored[METADATA])
        return metadata
    inputs, outputs = session.get_inputs(), session.get_outputs()
    kinds = {"tensor(uint8)": "uint8", "tensor(float)": "float"}
    fits = len(inputs) == 1 and len(outputs) == 1 and len(inputs[0].shape) == 4 and len(outputs[0].shape) == 4
    if not fits or inputs[0].shape[1] != 3 or inputs[0].type not in kinds or not isinstance(outputs[0].shape[1], int):
        raise WeightsError(
            f"{file} is an ONNX file that transkd did not export, and it is no segmenter of the form images "
            "(B, 3, H, W) -> logits (B, K, h, w)"
        )
    size = inputs[0].shape[2:]
    fixed = all(isinstance(side, int) and side >= SMALLEST_SIDE for side in size)
    return {
        "num_classes": outputs[0].shape[1],
        "result": "logits",
        "input": kinds[inputs[0].type],
        "size": size if fixed else None,
    }


class TorchProgram(ExportedModel):
    """A ``torch.export`` program.

    Args:
        file: the ``.pt2`` file.

    Raises:
        WeightsError: the file is damaged, or none that transkd exported.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file, check_program(file))
        log = logging.getLogger("torch.export")
        level = log.level
        log.setLevel(logging.CRITICAL)  # it prints tracebacks of the errors that are raised below
        try:
            with file.open("rb") as opened:
                self.module = torch.export.load(opened).module()
        except Exception as error:  # schema errors, as it happens
            raise WeightsError(
                f"{file} cannot be read by torch {torch.__version__}: export it again with that ({first_line(error)})"
            ) from error
        finally:
            log.setLevel(level)

    @torch.no_grad()
    def _run(self, images: Tensor) -> Tensor:
        answer: Tensor = self.module(images)
        return answer


def load_model(source: str | Path, *, threads: int | None = None) -> Segmenter | ExportedModel:
    """Load a segmenter, or an exported file, whichever the source is by its content.

    Args:
        source: an exported ``.onnx`` or ``.pt2`` file, or anything that :func:`~transkd.models.load_segmenter` takes.
        threads: threads of ONNX Runtime.

    Raises:
        WeightsError: it cannot be read, or is something else.
    """
    path = Path(source).expanduser()
    kind = file_kind(path) if path.is_file() else None
    if kind == "torch.export":
        return TorchProgram(path)
    return OnnxModel(path, threads) if kind == "onnx" else load_segmenter(source)
