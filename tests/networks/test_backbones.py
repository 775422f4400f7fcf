from __future__ import annotations

import pytest
import torch

from lungsight.errors import RecipeError
from lungsight.networks.backbones import build_network, layer_groups


@pytest.mark.parametrize("backbone", ["resnet34", "densenet121", "tf_efficientnet_lite0"])
def test_layer_groups_hold_every_parameter_once(backbone: str) -> None:
    network, _ = build_network(backbone, 2)
    groups = layer_groups(network)
    assert [bool(group) for group in groups] == [True, True, True]
    assert sorted(id(p) for group in groups for p in group) == sorted(id(p) for p in network.parameters())


def test_the_head_starts_small_and_unbiased() -> None:
    torch.manual_seed(0)
    network, _ = build_network("resnet34", 3)
    assert network.bias.tolist() == [0, 0, 0]
    assert 0.5 < float(network.weigh.weight.std()) * network.weigh.in_channels**0.5 < 1.5


def test_a_misspelt_backbone_is_named_with_its_likely_meaning() -> None:
    with pytest.raises(RecipeError, match=r"resnet50x: timm knows no such network; did you mean .*resnet50"):
        build_network("resnet50x", 2)


@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "mobilenetv3_small_100"])
def test_a_head_of_another_kind_is_refused(backbone: str) -> None:
    with pytest.raises(RecipeError, match="head isn't average pooling and one linear layer"):
        build_network(backbone, 2)
