"""A segmenter that needs no training: what is dark is lung."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64


def write_segmenter(folder: Path, darker_than: float = 0.45) -> Path:
    """``lung_fields.onnx`` and ``lung_fields.json`` in ``folder``."""
    shape = ["N", 1, SIDE, SIDE]
    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["threshold", "pixels"], ["darker"]),
            helper.make_node("Mul", ["darker", "steep"], ["lungs"]),
        ],
        "dark is lung",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("lungs", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(np.float32([darker_than]), "threshold"),
            numpy_helper.from_array(np.float32([20]), "steep"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "lung_fields.onnx")
    stated = {"image_size": SIDE, "trained_on": {"nobody": 0}}
    (folder / "lung_fields.json").write_text(json.dumps(stated), "utf-8")
    return folder
