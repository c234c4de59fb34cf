"""ONNX files: converted by torch's exporter, named, described, and in fewer bits where requested."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from transkd.errors import ExportError, TransKDError, first_line
from transkd.export.graph import ExportGraph, capture, quietly, without_adaptive_pooling
from transkd.models.exported import METADATA, ONNX_EXTRA

INPUT = "images"
OPSET = 20
AXES = ("batch", "height", "width")
# What stays in 32 bits: sums over many values, resizing, and what would overflow in 16.
KEPT_IN_FP32 = ("LayerNormalization", "Softmax", "Resize", "ArgMax", "Upsample", "Col2Im")


def write_onnx(graph: ExportGraph, path: Path, metadata: Mapping[str, Any], *, size: tuple[int, int] | None) -> None:
    """Write the graph as an ONNX file in 32 bits, for images of ``size`` or of any, and for any batch.

    Raises:
        ExportError: the onnx packages are missing, or an operator cannot be exported.
    """
    onnx = require("onnx")
    require("onnxscript")
    try:
        with quietly():
            program = torch.onnx.export(
                capture(without_adaptive_pooling(graph), size),
                dynamo=True,
                input_names=[INPUT],
                output_names=[graph.result],
                opset_version=OPSET,
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
    except Exception as error:  # the exporter wraps whatever went wrong in classes of its own
        raise ExportError(_reason(error, fixed=size is not None)) from error
    _name_axes(model)
    _remove_paths(model)
    del model.metadata_props[:]
    entries = {METADATA: dict(metadata), **{key: metadata.get(key) for key in ("class_names", "palette")}}
    for key, value in entries.items():  # other tools look for the last two
        if value is not None:
            model.metadata_props.add(key=key, value=json.dumps(value, sort_keys=True))
    onnx.checker.check_model(model)
    save(model, path)


def save(model: Any, path: Path, described_as: Any = None) -> None:
    """Write a model, with the metadata of another one if given, so that equal models give equal files."""
    if described_as is not None:
        del model.metadata_props[:]
        model.metadata_props.extend(described_as.metadata_props)
    path.write_bytes(model.SerializeToString(deterministic=True))


def to_fp16(path: Path) -> None:
    """Turn an ONNX file's weights and arithmetic to 16 bits; input and output stay as they are."""
    onnx, float16 = require("onnx"), require("onnxruntime.transformers.float16")
    with quietly():
        blocked = [*float16.DEFAULT_OP_BLOCK_LIST, *KEPT_IN_FP32]
        model = float16.convert_float_to_float16(onnx.load(path), keep_io_types=True, op_block_list=blocked)
    save(model, path, described_as=onnx.load(path))


def to_int8(path: Path, batches: Iterator[Tensor], *, as_float: bool) -> None:
    """Quantise an ONNX file's convolutions and linear layers to 8 bits, calibrated on images.

    Weights are quantised by channel, activations by tensor; products of two activations, as in attention, norms,
    softmax and resizing stay in 32 bits.

    Args:
        path: the file, which is replaced.
        batches: (B, 3, H, W) uint8 images.
        as_float: whether the file takes them as floats in [0, 1].

    Raises:
        ExportError: the onnx packages are missing, or the graph cannot be quantised.
        DataError: an image that cannot be read or used.
    """
    onnx, quantization = require("onnx"), require("onnxruntime.quantization")
    prepared = path.with_name(f"{path.name}.prepared")
    original = onnx.load(path)
    inputs = ({INPUT: (batch.float() / 255 if as_float else batch).numpy()} for batch in batches)
    try:
        with quietly():
            quantization.quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
            model = onnx.load(prepared)
            weights = {tensor.name for tensor in model.graph.initializer}
            both_vary = [
                node.name for node in model.graph.node if node.op_type == "MatMul" and not weights & set(node.input)
            ]
            quantization.quantize_static(
                str(prepared),
                str(path),
                SimpleNamespace(get_next=lambda: next(inputs, None)),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "MatMul", "Gemm"],
                nodes_to_exclude=both_vary,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},
            )
    except TransKDError:
        raise
    except Exception as error:  # ONNX Runtime raises classes of its own, without a common base
        raise ExportError(f"the graph cannot be quantised to 8 bits: {first_line(error)}") from error
    finally:
        prepared.unlink(missing_ok=True)
    save(onnx.load(path), path, described_as=original)


def require(name: str) -> ModuleType:
    """Import a package of the ``onnx`` extra.

    Raises:
        ExportError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(f"ONNX files need the package {name.partition('.')[0]}: {ONNX_EXTRA}") from error


def _reason(error: BaseException, *, fixed: bool) -> str:
    """Return one sentence for the exporter's pages: the operator that it has no translation for, or its last line."""
    texts = [str(error)]
    while cause := error.__cause__ or error.__context__:
        error = cause
        texts.append(str(error))
    missing = re.search(r"No (?:ONNX function|decompositions?)[^<\n]*<OpOverload\(op='([\w.:]+)'", "\n".join(texts))
    operator = missing or re.search(r"(aten[.:]+\w+)", texts[-1])
    last = texts[-1].strip().splitlines()[-1:] or [type(error).__name__]
    what = f"the operator {operator[1]}" if operator else f"the network ({last[0].strip()[:200]})"
    if fixed:
        return f"{what} cannot be exported to ONNX: use another format="
    return (
        f"{what} cannot be exported to ONNX for images of any size: fix the size of the images (dynamic=false "
        "size=[H,W]), or use another format="
    )


def _name_axes(model: Any) -> None:
    """Call the free axes batch, height and width, wherever their symbols stand."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    names = {dims[axis].dim_param: name for axis, name in zip((0, 2, 3), AXES, strict=True) if dims[axis].dim_param}
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_param = names[dim.dim_param]
    del model.graph.value_info[:]


def _remove_paths(model: Any) -> None:
    """Remove the exporter's notes on source files and traces, which name paths of the machine."""
    model.doc_string = ""
    model.graph.doc_string = ""
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    for part in (*nodes, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.doc_string = ""
        if hasattr(part, "metadata_props"):
            del part.metadata_props[:]
    del model.graph.metadata_props[:]
