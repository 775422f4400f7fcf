"""From a trained network to the package that scanning reads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lungsight import RESEARCH_ONLY, __version__
from lungsight.components.classifier import OUTPUTS, Network
from lungsight.components.ood import OODDescription
from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.perceptual_hash import perceptual_hash
from lungsight.datasets.phantom import Label, draw
from lungsight.datasets.registry import COLLECTIONS
from lungsight.datasets.splits import TEST, TRAIN, VALIDATION
from lungsight.networks.cam_classifier import CamClassifier
from lungsight.networks.onnx_export import export_onnx
from lungsight.package import ModelPackage, TrainedImage, find_package, write_package
from lungsight.package.bundled import is_package
from lungsight.package.description import PackageDescription, TrainingSource
from lungsight.package.model_card import model_card
from lungsight.package.storage import FAMILIARITY
from lungsight.statistics.thresholds import Aim
from lungsight.training.auxiliary_models import AuxiliaryModels
from lungsight.training.fit_calibration import ValidationLogits, choose_thresholds, fit_calibration
from lungsight.training.fit_ood import fit_ood_detector
from lungsight.training.image_cache import ImageCache
from lungsight.training.recipe import Recipe
from lungsight.training.run_log import installed_versions
from lungsight.training.training_set import TrainingSet

_BATCH = 16

Floats = NDArray[np.float32]
Advance = Callable[[int], None]


def package_network(
    recipe: Recipe,
    network: CamClassifier,
    images: TrainingSet,
    cache: ImageCache,
    origin: str,
    folder: Path,
    models: AuxiliaryModels,
    *,
    advance: Advance,
) -> PackageDescription:
    """Export the network, calibrate it, choose thresholds and write the package.

    Calibration and thresholds rest on the validation images and the network as exported.

    Args:
        recipe: of the run.
        network: as trained.
        images: of the run.
        cache: where these are.
        origin: of the initial weights.
        folder: of the package.
        models: the lung segmentation and the gate of the package.
        advance: called with how many more of :func:`images_to_predict` are done.
    """
    before = ModelPackage.open(find_package(recipe.weights)) if is_package(recipe.weights) else None
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch) / "network.onnx"
        export_classifier(network, recipe.image_size, exported, half=recipe.half_precision)
        classifier = Network(exported.read_bytes(), features=recipe.familiarity.percentile is not None)
        validation = validation_outputs(classifier, images, cache, advance)
        fitted = fit_calibration(validation.logits)
        aims = recipe.decision
        aim = Aim(aims.aim_sensitivity, aims.aim_specificity, aims.most_inconclusive)
        decision = choose_thresholds(
            validation.logits, fitted.probabilities, recipe.target, aim, aims.inconclusive_below
        )
        ood, contents = _ood_detector(recipe, classifier, images, cache, validation, advance)
        description = PackageDescription(
            name=recipe.name,
            created=datetime.now(UTC).replace(microsecond=0),
            lungsight_version=__version__,
            intended_use=f"{RESEARCH_ONLY} Frontal chest radiographs; {recipe.description}",
            licence=recipe.licence,
            classes=images.classes,
            target=recipe.target,
            backbone=recipe.backbone,
            initial_weights=origin,
            preprocessing=recipe.preprocessing,
            calibration=fitted.calibration,
            decision=decision,
            lung_fields=models.lung_segmentation_description,
            gate=models.gate_description,
            familiarity=ood,
            sources=_sources(images, before),
            split_unit=recipe.split.unit,
            recipe=recipe.model_dump(mode="json", exclude_none=True),
            software=installed_versions(),
        )
        return write_package(
            folder,
            description,
            network=exported,
            weights={name: _as_stored(tensor) for name, tensor in network.state_dict().items()},
            reference_inputs=reference_inputs(recipe.preprocessing),
            trained_on=_trained_on(images, before),
            model_card=model_card(description),
            parts=models.contents | contents,
        )


def images_to_predict(recipe: Recipe, images: TrainingSet) -> int:
    """How many images :func:`package_network` shows to the network."""
    sides = [VALIDATION] if recipe.familiarity.percentile is None else [VALIDATION, TRAIN]
    return sum(len(images.rows(side)) for side in sides)


def export_classifier(network: CamClassifier, image_size: int, path: Path, *, half: bool = False) -> None:
    """ONNX with input ``pixels`` [N, 1, side, side] and outputs ``logits`` and ``maps``; N is free.

    With ``half`` the network's weights are rounded to float16 in place, and stored so.
    """
    model = export_onnx(network, (1, image_size, image_size), OUTPUTS, half=half)
    bias = json.dumps(network.bias.detach().tolist())
    onnx.helper.set_model_props(model, {"bias": bias, "research_only": RESEARCH_ONLY})
    onnx.save(model, path)


def _as_stored(tensor: Tensor) -> NDArray[np.generic]:
    """What was rounded to float16 loses nothing when it is stored so."""
    halved = tensor.half()
    is_half = tensor.dtype == torch.float32 and tensor.numel() > 1 and torch.equal(halved.float(), tensor)
    stored: NDArray[np.generic] = (halved if is_half else tensor).numpy()
    return stored


def reference_inputs(preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Two phantoms as the network sees them, uint8 [2, 1, side, side], for the package's self-check."""
    drawn = [draw(seed, label, size=256).pixels for seed, label in ((1, Label.COVID19), (2, Label.NO_PNEUMONIA))]
    seen = [np.round(preprocessing.apply(pixels) * 255).astype(np.uint8) for pixels in drawn]
    return np.stack(seen)[:, None]


@dataclass(frozen=True, eq=False)
class ValidationOutputs:
    """The logits of the validation images, and their features, float32 [n, c] (or none)."""

    logits: ValidationLogits
    features: Floats | None


def validation_outputs(
    classifier: Network, images: TrainingSet, cache: ImageCache, advance: Advance
) -> ValidationOutputs:
    """The network's outputs for the validation images as they are, in the manifest's order."""
    rows = images.rows(VALIDATION)
    logits, features = _outputs(classifier, images, rows, cache, advance)
    patients, _ = pd.factorize(images.manifest.patient_key.iloc[rows])
    sources = images.manifest.table["source"].iloc[rows].to_numpy(dtype=str)
    validation = ValidationLogits(images.classes, logits.astype(np.float64), images.targets[rows], patients, sources)
    return ValidationOutputs(validation, features)


def _ood_detector(
    recipe: Recipe, classifier: Network, images: TrainingSet, cache: ImageCache, validation: ValidationOutputs,
    advance: Advance,
) -> tuple[OODDescription | None, dict[str, bytes]]:  # fmt: skip
    if recipe.familiarity.percentile is None or validation.features is None:
        return None, {}
    rows = images.rows(TRAIN)
    _, features = _outputs(classifier, images, rows, cache, advance)
    assert features is not None
    description, content = fit_ood_detector(
        features, images.targets[rows], validation.features, percentile=recipe.familiarity.percentile
    )
    return description, {FAMILIARITY: content}


def _outputs(
    classifier: Network, images: TrainingSet, rows: NDArray[np.int64], cache: ImageCache, advance: Advance
) -> tuple[Floats, Floats | None]:
    """Logits [n, classes], and features [n, c] if the network gives them."""
    paths = images.manifest.table["path"].iloc[rows].tolist()
    logits, features = [], []
    for start in range(0, len(paths), _BATCH):
        batch = [cache.load(path) for path in paths[start : start + _BATCH]]
        pixels = np.stack(batch)[:, None].astype(np.float32) / np.float32(255)
        if classifier.gives_features:
            outputs, found = classifier.run_with_features(pixels)
            features.append(found)
        else:
            outputs = classifier.run(pixels)
        logits.append(outputs.logits)
        advance(len(batch))
    return np.concatenate(logits), np.concatenate(features) if features else None


def _sources(images: TrainingSet, before: ModelPackage | None) -> tuple[TrainingSource, ...]:
    """Those of the run, and of the package whose training went on, if they aren't among them."""
    now = _sources_of(images)
    names = {source.name for source in now}
    return now + tuple(
        source for source in (before.description.sources if before else ()) if source.name not in names
    )


def _sources_of(images: TrainingSet) -> tuple[TrainingSource, ...]:
    fitted = images.manifest.table["split"] != TEST
    certain = images.shares.max(axis=1) == 1
    table = images.manifest.table
    table = table.assign(target=np.where(certain, images.class_names, table["label"] + " (soft label)"))[fitted]
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


def _trained_on(images: TrainingSet, before: ModelPackage | None) -> list[TrainedImage]:
    """What the run saw, and what was seen by the package whose training went on."""
    now = _seen(images)
    files = {image.sha256 for image in now}
    return now + [image for image in (before.trained_on if before else ()) if image.sha256 not in files]


def _seen(images: TrainingSet) -> list[TrainedImage]:
    fitted = images.manifest.where(images.manifest.table["split"] != TEST)
    fingerprints = fingerprint_manifest(fitted)
    rows = fitted.table[["source", "patient", "split"]].to_numpy(dtype=str)
    return [
        TrainedImage.of(file, source=source, patient=patient, split=split, perceptual_hash=perceptual_hash(thumbnail))
        for file, thumbnail, (source, patient, split) in zip(
            fingerprints.files, fingerprints.thumbnails, rows, strict=True
        )
    ]
