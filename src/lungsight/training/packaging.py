"""From a trained network to the package that scanning reads."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import torch
from fastai.data.load import DataLoader
from numpy.typing import NDArray

from lungsight import RESEARCH_ONLY, __version__
from lungsight.datasets.fingerprints import fingerprint_manifest
from lungsight.datasets.perceptual_hash import perceptual_hash
from lungsight.datasets.phantom import Label, draw
from lungsight.datasets.registry import COLLECTIONS
from lungsight.datasets.splits import TEST, VALIDATION
from lungsight.networks.evidence_network import EvidenceNetwork
from lungsight.package import TrainedImage, write_package
from lungsight.package.description import PackageDescription, TrainingSource
from lungsight.package.model_card import model_card
from lungsight.package.preprocessing import Preprocessing
from lungsight.statistics.thresholds import Aim
from lungsight.training.calibration import ValidationLogits, choose_thresholds, fit_calibration
from lungsight.training.recipe import Recipe
from lungsight.training.software import installed_versions
from lungsight.training.training_set import TrainingSet


def package_network(
    recipe: Recipe, network: EvidenceNetwork, images: TrainingSet, validation: DataLoader, origin: str, folder: Path
) -> PackageDescription:
    """Calibrate and choose thresholds on the validation images, export, and write the package."""
    network = network.cpu().eval()
    seen = validation_logits(network, images, validation)
    fitted = fit_calibration(seen)
    aim = Aim(recipe.decision.aim_sensitivity, recipe.decision.aim_specificity)
    decision = choose_thresholds(seen, fitted.probabilities, recipe.target, aim, recipe.decision.inconclusive_below)
    description = PackageDescription(
        name=recipe.name,
        created=datetime.now(UTC).replace(microsecond=0),
        lungsight_version=__version__,
        intended_use=f"{RESEARCH_ONLY} Frontal chest radiographs; {recipe.description}",
        classes=images.classes,
        target=recipe.target,
        backbone=recipe.backbone,
        initial_weights=origin,
        preprocessing=recipe.preprocessing,
        calibration=fitted.calibration,
        decision=decision,
        sources=_sources(images),
        split_unit=recipe.split.unit,
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        software={library: version for library, version in installed_versions().items() if version},
    )
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch) / "network.onnx"
        export_onnx(network, recipe.image_size, exported)
        return write_package(
            folder,
            description,
            network=exported,
            weights={name: tensor.numpy() for name, tensor in network.state_dict().items()},
            reference_inputs=reference_inputs(recipe.preprocessing),
            trained_on=_trained_on(images),
            model_card=model_card(description),
        )


def export_onnx(network: EvidenceNetwork, image_size: int, path: Path) -> None:
    """ONNX with input ``pixels`` [N, 1, side, side] and outputs ``logits`` and ``maps``; N is free."""
    batch = torch.export.Dim("N", min=1, max=4096)
    program = torch.onnx.export(
        network.to(memory_format=torch.contiguous_format),
        (torch.rand(2, 1, image_size, image_size),),
        dynamo=True,
        verbose=False,
        input_names=["pixels"],
        output_names=["logits", "maps"],
        dynamic_shapes={"pixels": {0: batch}},
        external_data=False,
    )
    assert program is not None
    model = program.model_proto
    bias = json.dumps(network.bias.detach().tolist())
    onnx.helper.set_model_props(model, {"bias": bias, "research_only": RESEARCH_ONLY})
    onnx.save(model, path)


def reference_inputs(preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Two phantoms as the network sees them, uint8 [2, 1, side, side], for the package's self-check."""
    drawn = [draw(seed, label, size=256).pixels for seed, label in ((1, Label.COVID19), (2, Label.NO_PNEUMONIA))]
    seen = [np.round(preprocessing.apply(pixels) * 255).astype(np.uint8) for pixels in drawn]
    return np.stack(seen)[:, None]


@torch.no_grad()
def validation_logits(network: EvidenceNetwork, images: TrainingSet, validation: DataLoader) -> ValidationLogits:
    """What the network says of the validation images, and whose they are; ``validation`` gives them in the order of
    ``images``."""
    rows = images.rows(VALIDATION)
    batches = [(network(pixels.cpu()).logits, targets.cpu()) for pixels, targets in validation]
    logits, targets = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))
    if not np.array_equal(targets, images.targets[rows]):
        raise ValueError("the validation images came in another order than the manifest's")
    patients, _ = pd.factorize(images.manifest.patient_key.iloc[rows])
    return ValidationLogits(images.classes, logits.astype(np.float64), targets.astype(np.int64), patients)


def _sources(images: TrainingSet) -> tuple[TrainingSource, ...]:
    fitted = images.manifest.table["split"] != TEST
    table = images.manifest.table.assign(target=images.class_names)[fitted]
    return tuple(
        TrainingSource(
            name=str(name),
            images=len(rows),
            patients=rows["patient"].nunique(),
            labels={str(k): int(v) for k, v in rows["target"].value_counts().items()},
            licence=COLLECTIONS[str(name)].licence if name in COLLECTIONS else "not stated",
            reference_standard="; ".join(sorted(set(rows["reference_standard"]) - {""})) or "not stated",
        )
        for name, rows in table.groupby("source", sort=True)
    )


def _trained_on(images: TrainingSet) -> list[TrainedImage]:
    fitted = images.manifest.where(images.manifest.table["split"] != TEST)
    fingerprints = fingerprint_manifest(fitted)
    rows = fitted.table[["source", "patient", "split"]].to_numpy(dtype=str)
    return [
        TrainedImage.of(file, source=source, patient=patient, split=split, perceptual_hash=perceptual_hash(thumbnail))
        for file, thumbnail, (source, patient, split) in zip(
            fingerprints.files, fingerprints.thumbnails, rows, strict=True
        )
    ]
