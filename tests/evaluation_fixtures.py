"""A real package whose network calls bright images COVID-19, and collections whose brightness is chosen, so that
every verdict is known beforehand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lungsight.package import PackageDescription, Preprocessing, TrainedImage, TrainingSource, write_package

CLASSES = ("covid19", "other")
LABELS = {"covid19": ["covid19"], "other": ["*"]}
SIDE = 32


@dataclass(frozen=True)
class Film:
    """One image to make: bright ones (above 0.5) will be called COVID-19."""

    label: str
    brightness: float
    patient: str
    source: str = "north"
    split: str = ""
    view: str = "PA"
    modality: str = "CR"


def brightness_network() -> onnx.ModelProto:
    """logit(covid19) - logit(other) = 16 × (mean brightness - 0.5)."""
    constants = {"gain": np.array([8.0, -8.0]).reshape(2, 1, 1, 1), "bias": np.array([-4.0, 4.0])}
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["coarse"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["coarse", "gain"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Add", ["flat", "bias"], ["logits"]),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 1, "side", "side"])
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 2, "h", "w"]),
    ]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "brightness", [pixels], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_brightness_package(folder: Path, trained: pd.DataFrame, split_unit: str = "patient") -> Path:
    """The package, said to be trained and tuned on the rows of ``trained``."""
    network = folder.with_suffix(".onnx")
    onnx.save(brightness_network(), str(network))
    description = PackageDescription(
        name="brightness",
        created=datetime(2026, 1, 2, tzinfo=UTC),
        lungsight_version="0.1.0",
        intended_use="tests",
        classes=CLASSES,
        target="covid19",
        backbone="none",
        initial_weights="set by hand",
        preprocessing=Preprocessing(image_size=SIDE),
        sources=tuple(
            TrainingSource(name=str(name), images=len(rows), patients=rows["patient"].nunique(), labels={})
            for name, rows in trained.groupby("source")
        ),
        split_unit=split_unit,  # type: ignore[arg-type]
        recipe={"classes": LABELS},
    )
    write_package(
        folder,
        description,
        network=network,
        weights={"bias": np.zeros(2, np.float32)},
        reference_inputs=np.random.default_rng(1).integers(0, 256, (2, 1, SIDE, SIDE), dtype=np.uint8),
        trained_on=[
            TrainedImage.of(
                hashlib.sha256(Path(row.path).read_bytes()).hexdigest(),
                source=row.source,
                patient=row.patient,
                split=row.split,
            )
            for row in trained.itertuples()
        ],
        model_card="# brightness\n",
    )
    return folder


def write_films(folder: Path, films: Sequence[Film]) -> pd.DataFrame:
    """Draw the films as PNG; the manifest's rows, with absolute paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, film in enumerate(films):
        contrast = np.random.default_rng(i).uniform(-0.1, 0.1, (80, 96))  # none at all would be refused as blank
        path = folder / f"film_{i:03}.png"
        Image.fromarray(np.round(np.clip(film.brightness + contrast, 0, 1) * 255).astype(np.uint8)).save(path)
        rows.append({"path": str(path), **{k: v for k, v in vars(film).items() if k != "brightness"}})
    return pd.DataFrame(rows)


def a_run(folder: Path, films: Sequence[Film], split_unit: str = "patient") -> Path:
    """A run folder as training leaves it."""
    folder.mkdir(parents=True)
    rows = write_films(folder.parent / "images", films)
    rows.to_csv(folder / "manifest.csv", index=False)
    write_brightness_package(folder / "package", rows[rows["split"] != "test"], split_unit)
    (folder / "recipe.toml").write_text('name = "brightness"\n')
    (folder / "environment.json").write_text(json.dumps({"seed": 0, "versions": {"lungsight": "0.1.0"}}))
    epochs = np.arange(6)
    history = pd.DataFrame(
        {
            "epoch": epochs,
            "stage": [0, 0, 1, 1, 1, 1],
            "train_loss": 0.7 * 0.7**epochs,
            "valid_loss": 0.1 + 0.7 * 0.7**epochs,
            "accuracy": 0.9,
            "lr": 1e-4,
            "seconds": 2.0,
        }
    )
    history.to_csv(folder / "history.csv", index=False)
    step = np.arange(60)
    rates = 1e-4 * (1 + np.sin(step / 10))
    batches = {"step": step, "epoch": step // 10, "stage": step // 40, "loss": 0.7 * 0.95**step, "lr": rates + 1e-6}
    pd.DataFrame(batches).to_csv(folder / "batches.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def film() -> type[Film]:
    return Film


@pytest.fixture
def films(tmp_path: Path) -> Callable[[Sequence[Film]], pd.DataFrame]:
    """Draw films; gives the rows of their manifest."""
    return lambda wanted: write_films(tmp_path / "images", wanted)


@pytest.fixture
def make_package(tmp_path: Path) -> Callable[[pd.DataFrame], Path]:
    """The brightness package, said to be trained on the rows given."""
    return lambda trained: write_brightness_package(tmp_path / "package", trained)


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A run folder as training leaves it, of the films given."""
    return lambda wanted, split_unit="patient": a_run(tmp_path_factory.mktemp("run") / "run", wanted, split_unit)
