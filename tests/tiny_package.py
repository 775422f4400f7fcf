"""A model package so small that a test can make one in milliseconds, and a real one all the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lungsight.package import (
    Calibration,
    PackageDescription,
    Preprocessing,
    TrainedImage,
    TrainingSource,
    write_package,
)

CLASSES = ("covid19", "other_pneumonia", "no_pneumonia")
SIDE = 32


def tiny_network(
    classes: int = len(CLASSES), *, gain: float = 1.0, bias: tuple[float, ...] | None = None
) -> onnx.ModelProto:
    """Convolution, ReLU, 1x1 convolution to the maps times ``gain``; the logits are their means plus a bias."""
    draw = np.random.default_rng(5)
    constants = {
        "features": draw.normal(0, 0.5, (4, 1, 5, 5)),
        "classes": gain * draw.normal(0, 2, (classes, 4, 1, 1)),
        "bias": np.linspace(-0.4, 0.3, classes) if bias is None else np.array(bias),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["pixels", "features"], ["seen"], strides=[4, 4], pads=[2, 2, 2, 2]),
            helper.make_node("Relu", ["seen"], ["active"]),
            helper.make_node("Conv", ["active", "classes"], ["maps"]),
            helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
            helper.make_node("Flatten", ["means"], ["flat"]),
            helper.make_node("Add", ["flat", "bias"], ["logits"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 1, "side", "side"])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes]),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", classes, "h", "w"]),
        ],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def describe(**changes: object) -> PackageDescription:
    stated: dict[str, object] = {
        "name": "tiny",
        "created": datetime(2026, 1, 2, tzinfo=UTC),
        "lungsight_version": "0.1.0",
        "intended_use": "tests",
        "classes": CLASSES,
        "target": "covid19",
        "backbone": "tiny",
        "initial_weights": "random",
        "preprocessing": Preprocessing(image_size=SIDE),
        "calibration": Calibration(temperature=1.5, fitted_on=30),
        "sources": (
            TrainingSource(name="north", images=60, patients=50, labels={"covid19": 30, "no_pneumonia": 30}),
            TrainingSource(name="south", images=50, patients=50, labels={"other_pneumonia": 50}),
        ),
        "split_unit": "patient",
        "recipe": {"backbone": "tiny"},
    }
    return PackageDescription.model_validate(stated | changes)


def write_tiny(
    folder: Path,
    model: onnx.ModelProto | None = None,
    *,
    parts: Mapping[str, bytes] | None = None,
    **changes: object,
) -> Path:
    network = folder.with_suffix(".onnx")
    onnx.save(model or tiny_network(), str(network))
    description = describe(**changes)
    side = description.preprocessing.image_size
    write_package(
        folder,
        description,
        network=network,
        weights={"bias": np.zeros(3, np.float32)},
        reference_inputs=np.random.default_rng(1).integers(0, 256, (2, 1, side, side), dtype=np.uint8),
        trained_on=[TrainedImage.of("0" * 64, source="north", patient="Ümit, 7", split="train")],
        model_card="# tiny\n",
        parts=parts,
    )
    return folder
