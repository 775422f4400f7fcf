from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from lungsight.networks.backbones import build_network
from lungsight.package.preprocessing import Preprocessing
from lungsight.training.packaging import calibrate, export_onnx, reference_inputs


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


class _Overconfident(torch.nn.Module):
    """Right three times in four, and five times too sure of it."""

    def forward(self, pixels: torch.Tensor) -> object:
        truth = np.log(3.0) * 5.0
        logits = torch.stack([pixels[:, 0, 0, 0] * truth, torch.zeros(len(pixels))], dim=1)
        return type("Output", (), {"logits": logits})


def test_the_temperature_undoes_overconfidence() -> None:
    signs = torch.tensor([1.0, 1, 1, 1, -1, -1, -1, -1]).view(8, 1, 1, 1)
    targets = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])
    found = calibrate(_Overconfident(), [(signs, targets)])  # type: ignore[arg-type]
    assert found.temperature == pytest.approx(5.0, rel=1e-3)
    assert found.fitted_on == 8
