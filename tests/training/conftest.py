"""A small phantom collection, and a recipe that trains on it in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import write_collection
from lungsight.training.recipe import Recipe, load_recipe

QUICK = (
    "backbone=test_resnet",  # the smallest of timm's: what is tested here is the same for every network
    "weights=random",
    "image_size=64",
    "batch_size=8",
    "checkpoint_seconds=0",
    "split.find_duplicates=false",
    "sampling.balance=[]",
    "stages=[{epochs=1, frozen=true, lr=1e-3}, {epochs=2, lr=[1e-4, 1e-3]}]",
)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """36 patients of two hospitals, three classes."""
    return write_collection(tmp_path_factory.mktemp("phantoms"), patients=36, seed=5, size=96, workers=1)


@pytest.fixture(scope="session")
def image_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("image-cache")


@pytest.fixture(scope="session")
def quick_recipe() -> Recipe:
    return load_recipe("demo", QUICK)
