"""A package that weighs the left half of an image, and hospitals where the disease is in the right half.

Its network's two features are the mean brightness of either half, so what adapting it can gain is known beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lungsight.components.calibration import Calibration
from lungsight.components.decision import Decision
from lungsight.package import Preprocessing, TrainedImage, write_package
from lungsight.package.description import TrainingSource
from tiny_package import CLASSES, describe

SIDE = 32
RECIPE = {"classes": {name: [name] for name in CLASSES}}
#: What a class's logit gains from the brightness of the left and of the right half.
WEIGHTS = np.array([[6.0, 0.5], [0.0, 0.0], [-6.0, -0.5]])
BIAS = np.array([-3.0, -1.0, 3.0])


def halves_network() -> onnx.ModelProto:
    """Average 4 x 4 pixels into two maps, the left half's and the right half's; weigh them; average; add the bias."""
    left = np.repeat([[1.0, 0.0]], SIDE // 8, axis=1).reshape(1, 1, 1, -1)
    constants = {
        "mean": np.full((2, 1, 4, 4), 1 / 16),
        "halves": 2 * np.concatenate([left, 1 - left], axis=1),
        "layer": WEIGHTS[:, :, None, None],
        "bias": BIAS,
    }
    nodes = [
        helper.make_node("Conv", ["pixels", "mean"], ["coarse"], strides=[4, 4]),
        helper.make_node("Mul", ["coarse", "halves"], ["features"]),
        helper.make_node("Conv", ["features", "layer"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Add", ["flat", "bias"], ["logits"]),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3]),
        helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 3, "h", "w"]),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "halves", [pixels], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_halves(folder: Path, trained_on: list[TrainedImage] | None = None) -> Path:
    """The package, trained at ``elsewhere``."""
    network = folder.with_suffix(".onnx")
    onnx.save(halves_network(), str(network))
    write_package(
        folder,
        describe(
            name="halves",
            preprocessing=Preprocessing(image_size=SIDE),
            calibration=Calibration(fitted_on=100),
            decision=Decision(low=0.2, high=0.8, aim_sensitivity=0.9, aim_specificity=0.9),
            sources=(TrainingSource(name="elsewhere", images=9, patients=9, labels={"covid19": 9}),),
            recipe=RECIPE,
        ),
        network=network,
        weights={
            "weigh.weight": WEIGHTS[:, :, None, None].astype(np.float16),
            "bias": BIAS.astype(np.float32),
            "backbone": np.ones(2, np.float32),
        },
        reference_inputs=np.random.default_rng(1).integers(0, 256, (2, 1, SIDE, SIDE), dtype=np.uint8),
        trained_on=trained_on or [TrainedImage.of("0" * 64, source="elsewhere", patient="1", split="train")],
        model_card="# halves\n",
    )
    return folder


def write_hospital(
    folder: Path,
    counts: dict[str, int],
    *,
    left: float = 0.0,
    right: float = 0.25,
    patients: int | None = None,
    seed: int = 0,
) -> Path:
    """A manifest of images of random blocks; those with COVID-19 are brighter by ``left`` and ``right`` there."""
    folder.mkdir(parents=True, exist_ok=True)
    draw, rows = np.random.default_rng(seed), []
    for label, n in counts.items():
        for i in range(n):
            brightness = draw.normal(0.45, 0.08, 2) + (np.array([left, right]) if label == "covid19" else 0)
            blocks = draw.uniform(-0.2, 0.2, (2, 8, 4))  # without them all images would look the same
            blocks -= blocks.mean(axis=(1, 2), keepdims=True)
            pixels = np.kron(np.hstack(list(blocks + brightness[:, None, None])), np.ones((8, 8)))
            pixels += draw.uniform(-0.05, 0.05, pixels.shape)
            path = folder / f"{label}-{i}.png"
            Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)).save(path)
            patient = f"{label} {i if patients is None else i % patients}"
            rows.append({"path": path.name, "label": label, "patient": patient, "view": ("PA", "AP")[i % 2]})
    table = folder / f"{folder.name}.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    return table


@pytest.fixture(scope="session")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package that weighs the left half."""
    return write_halves(tmp_path_factory.mktemp("packages") / "halves")


@pytest.fixture
def make_hospital(tmp_path: Path) -> Callable[..., Path]:
    """A hospital's manifest: :func:`write_hospital` with the folder's name first."""
    return lambda name, counts, **how: write_hospital(tmp_path / name, counts, **how)
