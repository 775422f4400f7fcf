"""ONNX classifiers as other people export them, small enough to be made by a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lungsight.components.onnx_description import OnnxDescription

SIDE = 32


def described_as(**stated: Any) -> OnnxDescription:
    """A description of :func:`convolutional`, with keys replaced."""
    given = {"name": "theirs", "network": "model.onnx", "target": "covid19"}
    read = {"size": SIDE, "channels": 1} | stated.pop("input", {})
    return OnnxDescription.model_validate(given | stated | {"input": read})


def convolutional(
    *,
    channels: int = 1,
    classes: int = 3,
    layout: str = "NCHW",
    pool: str = "GlobalAveragePool",
    linear: str = "Gemm",
    ends_in: str = "",
    batch: int | str = "n",
    input_name: str = "image",
    output_name: str = "out",
    kind: int = TensorProto.FLOAT,
    seed: int = 5,
) -> onnx.ModelProto:
    """Convolution, ReLU, pooling over places, a linear layer if any, an activation if any."""
    draw = np.random.default_rng(seed)
    numbers = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    weights = draw.normal(0, 1, (classes, 4))
    constants: dict[str, np.ndarray] = {
        "kernel": draw.normal(0, 0.3, (4, channels, 5, 5)).astype(numbers) / channels,
        "weights": (weights if linear == "Gemm" else weights.T).astype(numbers),
        "bias": np.linspace(-0.4, 0.3, classes).astype(numbers),
    }
    shape = [batch, channels, SIDE, SIDE] if layout == "NCHW" else [batch, SIDE, SIDE, channels]
    nodes, at = [], input_name
    if layout == "NHWC":
        nodes, at = [helper.make_node("Transpose", [at], ["nchw"], perm=[0, 3, 1, 2])], "nchw"
    nodes += [
        helper.make_node("Conv", [at, "kernel"], ["seen"], strides=[4, 4], pads=[2, 2, 2, 2]),
        helper.make_node("Relu", ["seen"], ["active"]),
        helper.make_node(pool, ["active"], ["pooled"], **({"axes": [2, 3]} if pool == "ReduceMean" else {})),
        helper.make_node("Flatten", ["pooled"], ["vector"]),
    ]
    last = "vector"
    if linear == "Gemm":
        nodes.append(helper.make_node("Gemm", [last, "weights", "bias"], ["numbers"], transB=1))
    elif linear:
        nodes.append(helper.make_node("MatMul", [last, "weights"], ["product"]))
        nodes.append(helper.make_node("Add", ["product", "bias"], ["numbers"]))
    last = "numbers" if linear else last
    nodes.append(helper.make_node(ends_in or "Identity", [last], [output_name]))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info(input_name, kind, shape)],
        [helper.make_tensor_value_info(output_name, kind, [batch, classes if linear else 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
