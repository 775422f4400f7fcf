"""A tiny training on phantoms, whose lungs are known: it must find those of patients it never saw."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from rich.console import Console

from lungsight.components.lung_segmentation import LungSegmentation, LungSegmentationDescription
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import Label, draw
from lungsight.errors import ManifestError, RecipeError
from lungsight.networks.lung_network import build_lung_network
from lungsight.training.checkpoint import Checkpoint
from lungsight.training.lung_segmentation import LungSegmentationRecipe, train_lung_segmentation
from lungsight.training.lung_segmentation import train as training

QUIET = Console(quiet=True)
RECIPE = LungSegmentationRecipe(image_size=64, epochs=10, batch_size=8, validation=0.1)
SHORT = RECIPE.model_copy(update={"epochs": 2})


def load(folder: Path) -> LungSegmentation:
    description = LungSegmentationDescription.model_validate_json((folder / "lung_fields.json").read_text("utf-8"))
    return LungSegmentation((folder / "lung_fields.onnx").read_bytes(), description, threads=1)


@pytest.fixture(scope="module")
def some(phantoms: Manifest) -> Manifest:
    return Manifest(phantoms.table.head(36).copy(), "some")


@pytest.fixture(scope="module")
def trained(some: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lungs")
    return train_lung_segmentation(RECIPE, some, folder / "run", seed=3, cache=folder / "cache", console=QUIET)


@pytest.mark.slow
def test_it_finds_the_lungs_of_phantoms_it_never_saw(trained: Path) -> None:
    """On films of which the phantom fills a part, now here, now there: no fixed outline fits them."""
    fields, rng = load(trained), np.random.default_rng(0)
    shown, truths = [], []
    for seed in range(900, 912):
        phantom = draw(seed, Label.COVID19 if seed % 2 else Label.NO_PNEUMONIA, size=128)
        around = tuple(tuple(int(side) for side in rng.integers(0, 40, 2)) for _ in range(2))
        shown.append(np.pad(phantom.pixels, around))
        truths.append(np.pad(phantom.lung_mask, around))
    lungs = fields.find_many(shown)
    dices = [_dice(found.on(*true.shape), true) for found, true in zip(lungs, truths, strict=True)]
    squashed = [cv2.resize(true.astype(np.float32), (128, 128)) > 0.5 for true in truths]
    fixed = np.mean(squashed, axis=0) > 0.5
    best_of_fixed = float(np.mean([_dice(fixed, true) for true in squashed]))
    assert np.mean(dices) > 0.85
    assert np.mean(dices) > best_of_fixed + 0.1, "a training that learned nothing draws the same outline everywhere"
    assert sum(not found.problems for found in lungs) >= 10


def _dice(found: np.ndarray, true: np.ndarray) -> float:
    return float(2 * (found & true).sum() / max(found.sum() + true.sum(), 1))


@pytest.mark.slow
def test_the_files_fit_the_package(trained: Path, some: Manifest) -> None:
    content = (trained / "lung_fields.onnx").read_bytes()
    assert len(content) < 2_500_000
    model = onnx.load_model_from_string(content)
    kinds = [tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4 and tensor.dims[0] > 15]
    assert kinds
    assert set(kinds) == {TensorProto.FLOAT16}
    assert str(Path.cwd()).encode() not in content, "no path of this machine"
    description = load(trained).description
    assert sum(description.trained_on.values()) == (some.table["lung_mask"] != "").sum()
    assert "research" in {prop.key: prop.value for prop in model.metadata_props}["research_only"].lower()


@pytest.mark.slow
def test_the_exported_network_is_the_trained_one(trained: Path) -> None:
    network, _ = build_lung_network(weights="random")
    network.load_state_dict(Checkpoint.read(trained / "checkpoint").weights)
    pixels = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network.eval()(pixels).numpy()
    found = load(trained).network.run(["lungs"], pixels.numpy())[0]
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.slow
def test_a_finished_folder_answers_at_once(trained: Path, some: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "build_lung_network", lambda **_: pytest.fail("trained again"))
    assert train_lung_segmentation(RECIPE, some, trained, seed=3, console=QUIET) == trained


@pytest.mark.slow
def test_another_training_in_the_same_folder_is_refused(trained: Path, some: Manifest) -> None:
    for recipe, seed in ((RECIPE, 4), (SHORT, 3)):
        with pytest.raises(RecipeError, match="another recipe, seed or manifest"):
            train_lung_segmentation(recipe, some, trained, seed=seed, console=QUIET)


@pytest.mark.slow
def test_a_training_that_was_cut_off_ends_as_if_it_hadnt_been(
    some: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[dict[str, torch.Tensor]] = []
    # Exporting takes longer than these trainings, and is tested above.
    monkeypatch.setattr(
        training, "export_lung_segmentation", lambda network, *_: ended.append(copy.deepcopy(network.state_dict()))
    )
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train_lung_segmentation(SHORT, some, whole, cache=tmp_path / "cache", console=QUIET)
    write = Checkpoint.write

    def write_and_stop(self: Checkpoint, folder: Path) -> None:
        write(self, folder)
        if self.progress.epochs == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(Checkpoint, "write", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train_lung_segmentation(SHORT, some, cut, cache=tmp_path / "cache", console=QUIET)
    assert len(ended) == 1, "nothing is exported before the end"
    train_lung_segmentation(SHORT, some, cut, cache=tmp_path / "cache", console=QUIET)
    first, second = ended
    assert all(torch.equal(first[name], second[name]) for name in first)
    losses = [
        [line.rsplit(",", 1)[0] for line in (folder / "history.csv").read_text().splitlines()]
        for folder in (whole, cut)
    ]
    assert losses[0] == losses[1]
    assert len(losses[1]) == 1 + SHORT.epochs
    assert json.loads((cut / "run.json").read_text()) == json.loads((whole / "run.json").read_text())


def test_images_without_masks_get_a_sentence(some: Manifest, tmp_path: Path) -> None:
    bare = some.with_columns(lung_mask="")
    with pytest.raises(ManifestError, match="0 images have a lung mask"):
        train_lung_segmentation(RECIPE, bare, tmp_path / "run", console=QUIET)


def test_an_unreadable_mask_is_named(some: Manifest, tmp_path: Path) -> None:
    broken = tmp_path / "mask.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    masks = [str(broken), *some.table["lung_mask"].iloc[1:]]
    with pytest.raises(ManifestError, match=r"mask\.png"):
        train_lung_segmentation(
            RECIPE, some.with_columns(lung_mask=masks), tmp_path / "run", cache=tmp_path / "c", console=QUIET
        )


def test_too_few_images_get_a_sentence(some: Manifest, tmp_path: Path) -> None:
    few = Manifest(some.table.head(6).copy(), "few")
    with pytest.raises(ManifestError, match="don't fill a batch of 8"):
        train_lung_segmentation(RECIPE, few, tmp_path / "run", cache=tmp_path / "cache", console=QUIET)
