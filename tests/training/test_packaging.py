from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from lungsight.components.classifier import Network, Outputs
from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.manifest import Manifest
from lungsight.networks.backbones import build_network
from lungsight.training.packaging import export_classifier, reference_inputs, validation_outputs
from lungsight.training.training_set import TrainingSet


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone", ["tf_efficientnet_lite0", "resnet34", pytest.param("densenet121", marks=pytest.mark.long)]
)
def test_the_exported_network_answers_as_the_trained_one(backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    network, _ = build_network(backbone, 3)
    network.eval()
    export_classifier(network, 64, tmp_path / "network.onnx")
    assert b"site-packages" not in (tmp_path / "network.onnx").read_bytes()  # torch notes the paths of this machine
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    for images in (1, 3):  # the number of images is free
        pixels = torch.rand(images, 1, 64, 64)
        logits, maps = session.run(["logits", "maps"], {"pixels": pixels.numpy()})
        with torch.no_grad():
            expected = network(pixels)
        np.testing.assert_allclose(logits, expected.logits, atol=1e-4)
        np.testing.assert_allclose(maps, expected.maps, atol=1e-3)


def test_reference_inputs_are_two_different_phantoms() -> None:
    pixels = reference_inputs(Preprocessing(image_size=64))
    assert pixels.shape == (2, 1, 64, 64)
    assert pixels.dtype == np.uint8
    assert pixels[0].std() > 20
    assert (pixels[0] != pixels[1]).mean() > 0.5


class _Fixed:
    """A network whose logits are the first pixel and its negative."""

    gives_features = False

    def run(self, pixels: np.ndarray) -> Outputs:
        first = np.round(pixels[:, 0, 0, 0] * 255)
        return Outputs(np.stack([first, -first], axis=1), np.zeros((len(pixels), 2, 1, 1), dtype=np.float32))


class _Kept:
    """A cache of images whose every pixel is the number in the file's name."""

    def load(self, path: str) -> np.ndarray:
        return np.full((4, 4), int(Path(path).stem), dtype=np.uint8)


def _images(targets: list[int]) -> TrainingSet:
    rows = {"path": ["0.png", "3.png", "1.png", "2.png"], "label": "x", "patient": ["p", "q", "p", "q"]}
    split = ["train", "validation", "validation", "validation"]
    manifest = Manifest.of(pd.DataFrame(rows | {"split": split, "source": ["a", "a", "a", "b"]}), "four")
    return TrainingSet(manifest, ("sick", "well"), np.eye(2, dtype=np.float32)[targets], {})


def test_the_validation_images_keep_their_order_their_class_and_their_patient() -> None:
    told: list[int] = []
    answers = validation_outputs(_Fixed(), _images([0, 1, 0, 1]), _Kept(), told.append)  # type: ignore[arg-type]
    seen = answers.logits
    assert seen.logits.tolist() == [[3, -3], [1, -1], [2, -2]]
    assert seen.targets.tolist() == [1, 0, 1]
    assert seen.patients.tolist() == [0, 1, 2]  # q of source b is another patient than q of source a
    assert seen.classes == ("sick", "well")
    assert answers.features is None
    assert sum(told) == 3


@pytest.mark.slow
def test_half_the_space_and_the_same_answers(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network, _ = build_network("tf_efficientnet_lite0", 3, fine_maps=True)
    network.eval()
    export_classifier(network, 64, tmp_path / "whole.onnx")
    export_classifier(network, 64, tmp_path / "half.onnx", half=True)
    assert (tmp_path / "half.onnx").stat().st_size < 0.55 * (tmp_path / "whole.onnx").stat().st_size
    pixels = np.random.default_rng(0).random((2, 1, 64, 64), dtype=np.float32)
    outputs = Network((tmp_path / "half.onnx").read_bytes()).run(pixels)
    whole = Network((tmp_path / "whole.onnx").read_bytes()).run(pixels)
    np.testing.assert_allclose(outputs.logits, whole.logits, rtol=0.03, atol=0.01)
    assert outputs.maps.shape == (2, 3, 4, 4)
