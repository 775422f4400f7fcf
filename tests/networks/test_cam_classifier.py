"""The heatmap against the logits, and against the grad-cam library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from lungsight.networks.backbones import build_network
from lungsight.networks.cam_classifier import CamClassifier

BACKBONES = ("resnet34", "resnet50", "inception_v3", "densenet121", "tf_efficientnet_lite0")


class _LogitsOnly(nn.Module):
    """What the grad-cam library expects: a network whose answer is its logits."""

    def __init__(self, network: CamClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network(pixels).logits


@pytest.fixture(scope="module", params=BACKBONES)
def network(request: pytest.FixtureRequest) -> CamClassifier:
    torch.manual_seed(7)
    built, origin = build_network(request.param, 3)
    assert origin == "random (no pretraining)"
    with torch.no_grad():
        built.bias.copy_(torch.tensor([0.3, -0.2, 0.1]))
    return built.eval()


def test_a_logit_is_the_mean_of_its_map_plus_its_bias(network: CamClassifier) -> None:
    logits, maps = network(torch.rand(2, 1, 160, 160))
    assert maps.shape[:2] == (2, 3)
    assert min(maps.shape[2:]) >= 3
    torch.testing.assert_close(logits, maps.mean(dim=(2, 3)) + network.bias, rtol=0, atol=1e-5)


def test_the_positive_part_of_the_map_is_grad_cam(network: CamClassifier) -> None:
    """Selvaraju et al. 2017, section 3.1: with this head both are the same up to a positive factor."""
    torch.manual_seed(11)
    pixels = torch.rand(1, 1, 160, 160)
    maps = network(pixels).maps.detach()[0].clamp(min=0).numpy()
    compared = 0
    with GradCAM(model=_LogitsOnly(network), target_layers=[network.backbone]) as cam:
        for target in range(3):
            theirs = cam(input_tensor=pixels, targets=[ClassifierOutputTarget(target)])[0]
            small = torch.nn.functional.interpolate(
                torch.from_numpy(maps[target])[None, None], size=theirs.shape, mode="bilinear"
            )[0, 0].numpy()
            if not maps[target].any():  # all evidence speaks against: both are black
                assert not theirs.any()
                continue
            compared += 1
            # The library upsamples with OpenCV: compare on its grid, away from the differently treated rim.
            inside = (slice(24, -24),) * 2
            assert np.corrcoef(small[inside].ravel(), theirs[inside].ravel())[0, 1] > 0.999
    assert compared
