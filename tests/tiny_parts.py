"""Lung fields, gate and familiarity so small that a test can make them in milliseconds, and real ones all the same.

The lung fields find what is dark in the middle of a phantom, which is its lungs.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lungsight.components.input_gate import FRONTAL, GateDescription
from lungsight.components.lung_segmentation import LungSegmentationDescription
from lungsight.components.ood import OODDescription
from lungsight.datasets.ood_images import Kind
from lungsight.training.fit_ood import fit_ood_detector

SIDE = 64
KINDS = tuple(str(kind) for kind in Kind)
LUNG_FIELDS = LungSegmentationDescription(image_size=SIDE, trained_on={"phantoms": 9})


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


def describe_gate(**changed: object) -> GateDescription:
    stated: dict[str, object] = {
        "image_size": 96, "kinds": KINDS, "least_probability": 0.5, "greatest_distance": 2.0,
        "refused_of_real": 0.01, "trained_on": {"somewhere": 3}, "decoys": {"hand": 2},
    }  # fmt: skip
    return GateDescription.model_validate(stated | changed)


def tiny_gate(
    kind: str = FRONTAL, sure: float = 9.0, *, distance: float = 1.0, marked: float = -9.0, ap: float | None = None
) -> bytes:
    """A network that says ``kind`` with logit ``sure``. Its signs and turns follow the image: ``inverted`` is
    claimed when the image is brighter at its left, ``turned`` when it is brighter at its top or bottom. With ``ap``
    it has a view classifier, of this logit."""
    side = 96
    across = np.tile(np.linspace(1, -1, side, dtype=np.float32), (side, 1))
    signs = np.stack([across * 40 / side**2, 0 * across, 0 * across]).reshape(3, -1).T
    down = across.T
    turns = np.stack([0 * down, down * 40 / side**2, 0 * down, -down * 40 / side**2]).reshape(4, -1).T
    kinds = np.zeros((1, len(KINDS)), np.float32)
    kinds[0, KINDS.index(kind)] = sure
    constants = {
        "signs_weight": signs, "signs_bias": np.array([[-2, marked, -9]]), "turns_weight": turns,
        "turns_bias": np.array([[2.0, 0, -9, 0]]), "zero": np.zeros((side * side, 1)), "kinds_bias": kinds,
        "distance_bias": np.array([distance]), "view_bias": np.array([ap or 0.0]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["features"], axis=1),
        helper.make_node("Gemm", ["features", "signs_weight", "signs_bias"], ["signs"]),
        helper.make_node("Gemm", ["features", "turns_weight", "turns_bias"], ["turns"]),
        helper.make_node("MatMul", ["features", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "kinds_bias"], ["kinds"]),
        helper.make_node("Squeeze", ["nothing", "axis"], ["none"]),
        helper.make_node("Add", ["none", "distance_bias"], ["distance"]),
    ]
    nodes += [helper.make_node("Add", ["none", "view_bias"], ["view"])] if ap is not None else []
    initialisers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    initialisers.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    outputs = [(name, ["N", None]) for name in ("kinds", "turns", "signs")] + [("distance", ["N"])]
    outputs += [("view", ["N"])] if ap is not None else []
    graph = helper.make_graph(
        nodes,
        "gate",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 1, side, side])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def tiny_familiarity(features: int = 4, percentile: float = 100.0) -> tuple[OODDescription, bytes]:
    """What chest-like noise is to the tiny network; ``features`` is what its last layer weighs."""
    draw = np.random.default_rng(3)
    seen = np.abs(draw.normal(1, 0.5, (60, features))).astype(np.float32)
    return fit_ood_detector(seen[:40], np.arange(40) % 3, seen[40:], percentile=percentile)
