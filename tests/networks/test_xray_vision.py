"""torchxrayvision's models by name: what that library gives by itself, and its errors in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lungsight.components.predictor import WEIGHTS
from lungsight.networks.xray_vision import XrayVisionError, XrayVisionModel, outputs_of

xrv: Any = pytest.importorskip("torchxrayvision")
NAME = "densenet121-res224-all"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an architecture that nobody trained: the file is what a user would name."""
    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("weights") / "densenet.pt"
    torch.save(xrv.models.DenseNet(num_classes=18).state_dict(), file)
    return file


@pytest.fixture(scope="module")
def model(weights: Path) -> XrayVisionModel:
    return XrayVisionModel(NAME, "Pneumonia", weights)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (260, 300)).astype(np.float32)


def test_the_probability_is_what_the_library_gives(model: XrayVisionModel, weights: Path, image: np.ndarray) -> None:
    theirs = xrv.models.DenseNet(num_classes=18)
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    stated = xrv.models.model_urls[NAME]
    theirs.op_threshs = torch.tensor(stated["op_threshs"])
    seen = xrv.datasets.XRayResizer(224)(xrv.datasets.XRayCenterCrop()(xrv.utils.normalize(255 * image, 255)[None]))
    with torch.inference_mode():
        expected = theirs.eval()(torch.from_numpy(seen)[None])[0, stated["labels"].index("Pneumonia")]
    prepared = model.prepare(image)
    assert prepared == pytest.approx(seen, abs=0.1)
    assert prepared.min() < -900
    found = model.run([prepared])
    assert 1 / (1 + np.exp(np.diff(found.logits[0]))) == pytest.approx(float(expected), abs=1e-4)


def test_maps_and_features_are_the_last_layers(model: XrayVisionModel, image: np.ndarray) -> None:
    found = model.run([model.prepare(image), model.prepare(image.T.copy())])
    assert found.maps is not None
    assert found.features is not None
    assert found.maps.shape == (2, 2, 7, 7)
    assert found.features.shape == (2, 1024)
    linear = model._network.classifier
    row = linear.weight[model._place].detach().numpy()
    assert found.maps[:, 0].mean(axis=(1, 2)) == pytest.approx(found.features @ row, rel=1e-4, abs=1e-4)
    assert not found.maps[:, 1].any()
    assert set(model.lacks) == {WEIGHTS}


def test_other_weights_or_another_output_are_another_model(
    model: XrayVisionModel, weights: Path, tmp_path: Path
) -> None:
    tensors = torch.load(weights, weights_only=True)
    torch.save(tensors | {"classifier.bias": tensors["classifier.bias"] + 1}, tmp_path / "other.pt")
    ids = {model.model, XrayVisionModel(NAME, "Edema", weights).model}
    ids |= {XrayVisionModel(NAME, "pneumonia", tmp_path / "other.pt").model}
    assert len(ids) == 3


def test_the_resnet_takes_a_file_too(tmp_path: Path) -> None:
    import torchvision

    network = torchvision.models.resnet50(num_classes=18)
    network.conv1 = torch.nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    torch.save(network.state_dict(), tmp_path / "resnet.pt")
    model = XrayVisionModel("resnet50-res512-all", "Lung Opacity", tmp_path / "resnet.pt")
    found = model.run([model.prepare(np.random.default_rng(0).uniform(0, 1, (64, 64)).astype(np.float32))])
    assert found.maps is not None
    assert found.maps.shape == (1, 2, 16, 16)
    assert found.features is not None
    assert found.features.shape == (1, 2048)


def test_what_isnt_there_is_one_sentence(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xrv.utils, "get_cache_dir", lambda: str(tmp_path / "cache"))
    (tmp_path / "none.pt").write_bytes(b"no weights")
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "others.pt")
    torch.save(xrv.models.DenseNet(num_classes=2), tmp_path / "pickled.pt")
    for name, output, file, said in (
        ("densenet", "Pneumonia", weights, "isn't a model of torchxrayvision"),
        (NAME, "COVID-19", weights, "has no output COVID-19; name one with --output: Atelectasis, "),
        (NAME, "", weights, "none of them is named"),
        (NAME, "Pneumonia", None, "fetch them once with"),
        (NAME, "Pneumonia", tmp_path / "absent.pt", "can't be read"),
        (NAME, "Pneumonia", tmp_path / "none.pt", "isn't a PyTorch file"),
        (NAME, "Pneumonia", tmp_path / "pickled.pt", "holds more than tensors"),
        (NAME, "Pneumonia", tmp_path / "others.pt", "doesn't hold the tensors of"),
    ):
        with pytest.raises(XrayVisionError) as caught:
            XrayVisionModel(name, output, file)
        assert said in str(caught.value)


def test_outputs_without_a_name_arent_listed() -> None:
    assert outputs_of("densenet121-res224-rsna") == ("Pneumonia", "Lung Opacity")
