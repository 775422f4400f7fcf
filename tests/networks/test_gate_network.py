from __future__ import annotations

import numpy as np
import pytest
import torch

from lungsight.components import input_gate as gate
from lungsight.components.runtime import open_network
from lungsight.networks.gate_network import SIGNS, TURNS, GateEncoder, GateHeads
from lungsight.training.gate.exporting import export_encoder, export_gate


def test_training_and_scanning_mean_the_same_turns() -> None:
    assert gate.TURNS == TURNS
    assert SIGNS == ("inverted", "marked", "child")


def test_the_distance_is_mahalanobis_under_the_stated_covariance() -> None:
    """Against the plain definition, with the inverse of the whole covariance matrix."""
    rng = torch.Generator().manual_seed(3)
    features, kept = 12, 4
    heads = GateHeads(features, 2, kept).double().eval()
    heads.centre.copy_(torch.randn(features, generator=rng))
    heads.spread.copy_(torch.rand(features, generator=rng) + 0.5)
    directions, _ = torch.linalg.qr(torch.randn(features, features, generator=rng).double())
    variance = torch.rand(kept, generator=rng).double() + 1
    heads.directions.copy_(directions[:, :kept])
    heads.weights.copy_(1 / variance)
    heads.rest.fill_(1 / 0.3)
    covariance = directions[:, :kept] @ torch.diag(variance - 0.3) @ directions[:, :kept].T + 0.3 * torch.eye(
        features
    )
    points = torch.randn(6, features, generator=rng).double()
    heads.middle.copy_(torch.randn(features, generator=rng))
    scaled = (points - heads.centre) / heads.spread - heads.middle
    expected = ((scaled @ torch.linalg.inv(covariance)) * scaled).sum(dim=1).div(features).sqrt()
    assert torch.allclose(heads(points).distance, expected, atol=1e-6)


Exported = tuple[GateEncoder, GateHeads, bytes]


@pytest.fixture(scope="module")
def exported() -> Exported:
    torch.manual_seed(1)
    encoder = GateEncoder("random").eval()
    with torch.no_grad():
        features = encoder(torch.rand(2, 1, 96, 96)).shape[1]
    heads = GateHeads(features, 7, 5).eval()
    return encoder, heads, export_gate(encoder, export_encoder(encoder, 96), heads, 96)


@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 3])
def test_the_exported_gate_says_what_the_trained_one_says(exported: Exported, images: int) -> None:
    encoder, heads, file = exported
    assert len(file) < 2.5e6
    assert b".py" not in file  # no source lines and paths of the machine it was made on
    probe = torch.rand(images, 1, 96, 96)
    said = open_network(file, gate.OUTPUTS, 1).run(gate.OUTPUTS, probe.numpy())
    with torch.no_grad():
        expected = heads(encoder(probe))
    assert [answer.shape for answer in said] == [(images, 7), (images, 4), (images, 3), (images,)]
    for answer, wanted in zip(said, expected, strict=True):
        assert np.allclose(answer, wanted.numpy(), rtol=0, atol=0.1)
