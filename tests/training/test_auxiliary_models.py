from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from tests.training.conftest import QUICK
from tests.training.segmenter import write_segmenter

from lungsight.datasets.manifest import Manifest
from lungsight.errors import RecipeError
from lungsight.inference import Detector
from lungsight.package import ModelPackage, find_package
from lungsight.scanning import scan
from lungsight.training.auxiliary_models import AuxiliaryModels, prepare_auxiliary_models
from lungsight.training.recipe import load_recipe
from lungsight.training.run import train

QUIET = Console(quiet=True)


def test_parts_are_taken_from_another_run(phantoms: Manifest, tmp_path: Path) -> None:
    write_segmenter(tmp_path / "other" / "lung_fields")
    recipe = load_recipe("demo", (*QUICK, f"parts_from={tmp_path / 'other'}"))
    parts = prepare_auxiliary_models(recipe, phantoms, tmp_path, tmp_path, QUIET)
    assert parts == AuxiliaryModels(lung_segmentation=tmp_path / "other" / "lung_fields")
    assert parts.lung_segmentation_description is not None
    assert list(parts.contents) == ["lung_fields.onnx"]


def test_parts_are_taken_from_a_package(phantoms: Manifest, tmp_path: Path) -> None:
    parts = prepare_auxiliary_models(load_recipe("balanced"), phantoms, tmp_path, tmp_path, QUIET)
    package = ModelPackage.open(find_package("released"))
    assert parts.lung_segmentation_description == package.description.lung_fields
    assert parts.gate_description == package.description.gate
    assert parts.contents == {name: package.read(name) for name in ("lung_fields.onnx", "gate.onnx")}


@pytest.mark.parametrize("geometry", ["lungs", "squash"])
def test_a_run_without_what_it_was_promised_is_refused(phantoms: Manifest, tmp_path: Path, geometry: str) -> None:
    recipe = load_recipe("demo", (*QUICK, f"parts_from={tmp_path}", f"geometry={geometry}"))
    with pytest.raises(RecipeError, match="holds n"):
        prepare_auxiliary_models(recipe, phantoms, tmp_path, tmp_path, QUIET)


def test_a_lung_crop_needs_somebody_who_finds_the_lungs(phantoms: Manifest, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="where the lungs are"):
        train(load_recipe("demo", (*QUICK, "geometry=lungs")), phantoms, tmp_path, cache=tmp_path / "cache")


@pytest.mark.slow
def test_a_detector_of_lungs_is_trained_packaged_and_scans(
    phantoms: Manifest, image_cache_folder: Path, tmp_path: Path
) -> None:
    write_segmenter(tmp_path / "other" / "lung_fields")
    settings = (
        f"parts_from={tmp_path / 'other'}", "geometry=lungs", "fine_maps=true", "guidance.weight=1.0",
        "half_precision=true", "familiarity.percentile=95", "weight_averaging.decay=0.9",
    )  # fmt: skip
    train(load_recipe("demo", (*QUICK, *settings)), phantoms, tmp_path / "run", cache=image_cache_folder)
    package = ModelPackage.open(tmp_path / "run" / "package")
    package.verify()
    assert package.lung_fields() is not None
    assert package.familiarity() is not None
    found = scan(phantoms.table["path"], Detector.load(package))
    finding = next(finding for finding in found if finding.map is not None)  # of two plausible lungs
    assert finding.map is not None
    assert finding.map.values.shape == (4, 4)
    assert finding.lungs is not None
