from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from lungsight.datasets.manifest import Manifest
from lungsight.networks.backbones import build_network
from lungsight.package.preprocessing import Preprocessing
from lungsight.training.packaging import export_onnx, reference_inputs, validation_logits
from lungsight.training.training_set import TrainingSet


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "resnet34", "densenet121"])
def test_the_exported_network_answers_as_the_trained_one(backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    network, _ = build_network(backbone, 3)
    network.eval()
    export_onnx(network, 64, tmp_path / "network.onnx")
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


class _Fixed(torch.nn.Module):
    """A network whose logits are the first pixel and its negative."""

    def forward(self, pixels: torch.Tensor) -> object:
        first = pixels[:, 0, 0, 0]
        return type("Output", (), {"logits": torch.stack([first, -first], dim=1)})


def _images(targets: list[int]) -> TrainingSet:
    rows = {"path": [f"{i}.png" for i in range(len(targets))], "label": "x", "patient": ["p", "q", "p", "q"]}
    split = ["train", "validation", "validation", "validation"]
    manifest = Manifest.of(pd.DataFrame(rows | {"split": split, "source": ["a", "a", "a", "b"]}), "four")
    return TrainingSet(manifest, ("sick", "well"), np.array(targets), {})


def test_the_validation_images_keep_their_order_their_class_and_their_patient() -> None:
    batches = [
        (torch.tensor([3.0, 1.0]).view(2, 1, 1, 1), torch.tensor([1, 0])),
        (torch.tensor([2.0]).view(1, 1, 1, 1), torch.tensor([1])),
    ]
    seen = validation_logits(_Fixed(), _images([0, 1, 0, 1]), batches)  # type: ignore[arg-type]
    assert seen.logits.tolist() == [[3, -3], [1, -1], [2, -2]]
    assert seen.targets.tolist() == [1, 0, 1]
    assert seen.patients.tolist() == [0, 1, 2]  # q of source b is another patient than q of source a
    assert seen.classes == ("sick", "well")
    with pytest.raises(ValueError, match="another order"):
        validation_logits(_Fixed(), _images([0, 0, 1, 1]), batches)  # type: ignore[arg-type]
