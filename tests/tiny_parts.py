"""Lung fields, gate and familiarity so small that a test can make them in milliseconds, and real ones all the same.

The lung fields find what is dark in the middle of a phantom, which is its lungs.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lungsight.package.familiarity import FamiliarityDescription
from lungsight.package.lung_fields import LungFieldsDescription
from lungsight.training.familiarity import fit_familiarity

SIDE = 64
LUNG_FIELDS = LungFieldsDescription(image_size=SIDE, trained_on={"phantoms": 9})


def tiny_lung_fields(darker_than: float = 0.42) -> bytes:
    """Logits that are positive where the image, a little blurred, is darker than this, and far from its edge."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    inner = (abs(columns - 0.5) < 0.4) & (abs(columns - 0.5) > 0.03) & (rows > 0.1) & (rows < 0.85)
    constants = {
        "threshold": np.array(darker_than, np.float32),
        "beside": np.where(inner, 0, -100).astype(np.float32)[None, None],
        "steep": np.array(40, np.float32),
    }
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["blurred"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Sub", ["threshold", "blurred"], ["dark"]),
        helper.make_node("Mul", ["dark", "steep"], ["lung"]),
        helper.make_node("Add", ["lung", "beside"], ["lungs"]),
    ]
    return _onnx("lungs", nodes, constants, ["n", 1, "side", "side"])


def _onnx(output: str, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[object]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 1, "side", "side"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def tiny_familiarity(features: int = 4, percentile: float = 100.0) -> tuple[FamiliarityDescription, bytes]:
    """What chest-like noise is to the tiny network; ``features`` is what its last layer weighs."""
    draw = np.random.default_rng(3)
    seen = np.abs(draw.normal(1, 0.5, (60, features))).astype(np.float32)
    return fit_familiarity(seen[:40], np.arange(40) % 3, seen[40:], percentile=percentile)
