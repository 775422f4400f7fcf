"""The lung segmentation and the gate of a run's package: trained first, or taken from another run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lungsight._files import write_whole
from lungsight.components.input_gate import GateDescription
from lungsight.components.lung_segmentation import LungSegmentationDescription
from lungsight.datasets.manifest import Manifest
from lungsight.errors import RecipeError
from lungsight.package import ModelPackage, find_package
from lungsight.package.bundled import is_package
from lungsight.package.storage import GATE, LUNG_FIELDS
from lungsight.training.gate import train_gate
from lungsight.training.lung_segmentation import train_lung_segmentation
from lungsight.training.recipe import Recipe


@dataclass(frozen=True)
class AuxiliaryModels:
    """The folders of finished models, each an ONNX file beside its description; None for a model that isn't there."""

    lung_segmentation: Path | None = None
    gate: Path | None = None

    @property
    def lung_segmentation_description(self) -> LungSegmentationDescription | None:
        """What ``package.json`` states of the lung segmentation."""
        if self.lung_segmentation is None:
            return None
        return LungSegmentationDescription.model_validate_json(_description(self.lung_segmentation, LUNG_FIELDS))

    @property
    def gate_description(self) -> GateDescription | None:
        """What ``package.json`` states of the gate."""
        return None if self.gate is None else GateDescription.model_validate_json(_description(self.gate, GATE))

    @property
    def contents(self) -> dict[str, bytes]:
        """Their files in the package, by name."""
        folders = {LUNG_FIELDS: self.lung_segmentation, GATE: self.gate}
        return {name: (folder / name).read_bytes() for name, folder in folders.items() if folder is not None}


def prepare_auxiliary_models(
    recipe: Recipe, manifest: Manifest, folder: Path, cache: Path, console: Console
) -> AuxiliaryModels:
    """Train the models that the recipe asks for in ``folder``, or resume, or take them from ``recipe.parts_from``."""
    if recipe.parts_from and is_package(recipe.parts_from):
        return _taken(_unpacked(recipe.parts_from, folder), recipe)
    if recipe.parts_from:
        return _taken(Path(recipe.parts_from), recipe)
    lungs = gate = None
    if recipe.lung_fields is not None:
        console.print("training the lung segmentation first")
        lungs = train_lung_segmentation(
            recipe.lung_fields, manifest, folder / "lung_fields", seed=recipe.seed, cache=cache, console=console
        )
    if recipe.gate is not None:
        console.print("then the gate")
        gate = train_gate(recipe.gate, manifest, folder / "gate", seed=recipe.seed, cache=cache, console=console)
    return AuxiliaryModels(lungs, gate)


def _unpacked(name_or_path: str, folder: Path) -> Path:
    """``folder``, which gets the package's lung segmentation and gate as a run holds them."""
    package = ModelPackage.open(find_package(name_or_path))
    stated = {LUNG_FIELDS: package.description.lung_fields, GATE: package.description.gate}
    for name, description in stated.items():
        if description is not None:
            place = folder / name.removesuffix(".onnx") / name
            write_whole(place, package.read(name))
            write_whole(place.with_suffix(".json"), description.model_dump_json(indent=1))
    return folder


def _taken(run: Path, recipe: Recipe) -> AuxiliaryModels:
    found = {name: run / name for name in ("lung_fields", "gate") if (run / name / f"{name}.onnx").is_file()}
    if recipe.geometry == "lungs" and "lung_fields" not in found:
        raise RecipeError(f"parts_from {run}", "holds no lung_fields/lung_fields.onnx", "name a run that has them")
    if not found:
        raise RecipeError(
            f"parts_from {run}", "holds neither a lung segmentation nor a gate", "name a run that has them"
        )
    return AuxiliaryModels(found.get("lung_fields"), found.get("gate"))


def _description(folder: Path, network: str) -> bytes:
    return (folder / network).with_suffix(".json").read_bytes()
