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
from lungsight.components.classifier import Network
from lungsight.components.ood import OODDescription
from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.perceptual_hash import perceptual_hash
from lungsight.datasets.phantom import Label, draw
from lungsight.datasets.registry import COLLECTIONS
from lungsight.datasets.splits import TEST, TRAIN, VALIDATION
from lungsight.networks.cam_classifier import CamClassifier
from lungsight.networks.half_precision import round_to_half, store_as_half, without_traces
from lungsight.package import TrainedImage, write_package
from lungsight.package.description import PackageDescription, TrainingSource
from lungsight.package.model_card import model_card
from lungsight.package.storage import FAMILIARITY
from lungsight.statistics.thresholds import Aim
from lungsight.training.auxiliary_models import AuxiliaryModels
from lungsight.training.fit_calibration import ValidationLogits, choose_thresholds, fit_calibration
from lungsight.training.fit_ood import fit_ood_detector
from lungsight.training.image_cache import ImageCache
from lungsight.training.recipe import Recipe
from lungsight.training.training_set import TrainingSet
from lungsight.training.versions import installed_versions

_AT_ONCE = 16


def package_network(
    recipe: Recipe,
    network: CamClassifier,
    images: TrainingSet,
    cache: ImageCache,
    origin: str,
    folder: Path,
    parts: AuxiliaryModels = AuxiliaryModels(),
    advance: Callable[[int], None] = lambda _: None,
) -> PackageDescription:
    """Export, calibrate and choose thresholds on the validation images with the network as exported, and write the
    package. ``advance`` is told of every image that was judged for it (:func:`images_to_judge`)."""
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch) / "network.onnx"
        export_onnx(network.cpu().eval(), recipe.image_size, exported, half=recipe.half_precision)
        analyse = Network(exported.read_bytes(), features=recipe.familiarity.percentile is not None)
        seen = validation_answers(analyse, images, cache, advance)
        fitted = fit_calibration(seen.logits)
        aim = Aim(recipe.decision.aim_sensitivity, recipe.decision.aim_specificity)
        decision = choose_thresholds(
            seen.logits, fitted.probabilities, recipe.target, aim, recipe.decision.inconclusive_below
        )
        familiarity, contents = _familiarity(recipe, analyse, images, cache, seen, advance)
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
            lung_fields=parts.lung_fields_description,
            gate=parts.gate_description,
            familiarity=familiarity,
            sources=_sources(images),
            split_unit=recipe.split.unit,
            recipe=recipe.model_dump(mode="json", exclude_none=True),
            software={library: version for library, version in installed_versions().items() if version},
        )
        return write_package(
            folder,
            description,
            network=exported,
            weights={name: _as_stored(tensor) for name, tensor in network.state_dict().items()},
            reference_inputs=reference_inputs(recipe.preprocessing),
            trained_on=_trained_on(images),
            model_card=model_card(description),
            parts=parts.contents | contents,
        )


def images_to_judge(recipe: Recipe, images: TrainingSet) -> int:
    """How many images :func:`package_network` shows to the network."""
    sides = [VALIDATION] if recipe.familiarity.percentile is None else [VALIDATION, TRAIN]
    return sum(len(images.rows(side)) for side in sides)


def export_onnx(network: CamClassifier, image_size: int, path: Path, *, half: bool = False) -> None:
    """ONNX with input ``pixels`` [N, 1, side, side] and outputs ``logits`` and ``maps``; N is free. With ``half`` the
    network's weights are rounded to float16 in place, and stored so."""
    if half:
        round_to_half(network)
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
    model = without_traces(program.model_proto)
    if half:
        model = store_as_half(model)
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
    """What the network says of the validation images, and float32 [n, c], the features it says it by (or none)."""

    logits: ValidationLogits
    features: NDArray[np.float32] | None


def validation_answers(
    analyse: Network, images: TrainingSet, cache: ImageCache, advance: Callable[[int], None] = lambda _: None
) -> ValidationOutputs:
    """The images without changes, in the manifest's order."""
    rows = images.rows(VALIDATION)
    logits, features = _judged(analyse, images, rows, cache, advance)
    patients, _ = pd.factorize(images.manifest.patient_key.iloc[rows])
    seen = ValidationLogits(images.classes, logits.astype(np.float64), images.targets[rows], patients)
    return ValidationOutputs(seen, features)


def _familiarity(
    recipe: Recipe, analyse: Network, images: TrainingSet, cache: ImageCache, seen: ValidationOutputs,
    advance: Callable[[int], None],
) -> tuple[OODDescription | None, dict[str, bytes]]:  # fmt: skip
    if recipe.familiarity.percentile is None or seen.features is None:
        return None, {}
    rows = images.rows(TRAIN)
    _, features = _judged(analyse, images, rows, cache, advance)
    assert features is not None
    description, content = fit_ood_detector(
        features, images.targets[rows], seen.features, percentile=recipe.familiarity.percentile
    )
    return description, {FAMILIARITY: content}


def _judged(
    analyse: Network, images: TrainingSet, rows: NDArray[np.int64], cache: ImageCache, advance: Callable[[int], None]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Logits [n, classes], and features [n, c] where the network gives them."""
    paths = images.manifest.table["path"].iloc[rows].tolist()
    logits, features = [], []
    for start in range(0, len(paths), _AT_ONCE):
        batch = [cache.load(path) for path in paths[start : start + _AT_ONCE]]
        pixels = np.stack(batch)[:, None].astype(np.float32) / np.float32(255)
        if analyse.gives_features:
            outputs, found = analyse.run_with_features(pixels)
            features.append(found)
        else:
            outputs = analyse.run(pixels)
        logits.append(outputs.logits)
        advance(len(batch))
    return np.concatenate(logits), np.concatenate(features) if features else None


def _sources(images: TrainingSet) -> tuple[TrainingSource, ...]:
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
