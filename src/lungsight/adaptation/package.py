"""Write an adapted package: the new last layer, calibration and thresholds, with evidence of its own."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.numpy import load as load_safetensors

from lungsight import RESEARCH_ONLY, __version__
from lungsight._files import atomic_folder
from lungsight._progress import ProgressBars
from lungsight._text import as_words
from lungsight.adaptation.adapt import Adaptation
from lungsight.adaptation.figures import TITLES, Change, Verdict
from lungsight.adaptation.network import weights_changed, with_last_layer_changed
from lungsight.components.onnx_safety import UnusableNetworkError
from lungsight.datasets.duplicates.perceptual_hash import perceptual_hash
from lungsight.datasets.splits import TRAIN
from lungsight.errors import LungsightError, PackageError
from lungsight.evaluation.evaluate import Settings, evaluate_testset
from lungsight.evaluation.evidence import Evidence, TestedModel
from lungsight.evaluation.formatting import as_figure
from lungsight.inference import Detector
from lungsight.package import (
    ModelPackage,
    PackageDescription,
    TrainedImage,
    TrainingSource,
    add_evidence,
    write_package,
)
from lungsight.package.bundled import is_package
from lungsight.package.description import GOES_ON_FROM
from lungsight.package.markdown import cell, table
from lungsight.package.model_card import model_card
from lungsight.package.storage import EVIDENCE, MODEL_CARD, NETWORK, REFERENCE, WEIGHTS
from lungsight.reporting.evidence_json import evidence_json
from lungsight.reporting.model_card import tested_card
from lungsight.reporting.tables import plain
from lungsight.statistics.outcomes import TRUTH

#: The key of ``evidence.json`` with the figures before and after.
ADAPTATION = "adaptation"
_WORSE = "keep the package as it is, give more images, or write it all the same with --even-if-worse"
_CROSS_VALIDATED = (
    "The figures are cross-validated: each image is predicted by an adaptation that didn't see its patient. They are "
    "of the hospital that the package was adapted to, and say nothing of another."
)


class WorseError(LungsightError):
    """An adaptation that is worse than the package before."""


def refuse_out(package: ModelPackage, out: Path) -> None:
    """Raise PackageError where something that isn't an adaptation of ``package`` would be replaced or altered."""
    if out.resolve().is_relative_to(package.path.resolve()):
        raise PackageError(out, "is the package that is adapted, or inside it", "choose another folder")
    if not out.exists():
        return
    if not is_package(str(out)) or not out.is_dir():
        if out.is_dir() and not any(out.iterdir()):
            return
        raise PackageError(out, "is there already and isn't a model package", "choose another folder")
    if not ModelPackage.open(out).description.initial_weights.startswith(f"{GOES_ON_FROM}{package.id};"):
        raise PackageError(out, "holds another model package", "choose another folder")


def write_adapted(adaptation: Adaptation, out: Path, *, even_if_worse: bool = False) -> ModelPackage:
    """Write the adapted package to the folder ``out``: all of it, or nothing.

    Raises:
        WorseError: it is worse than before on patients that it didn't see, and ``even_if_worse`` isn't given.
        PackageError: the package's network doesn't end as adaptation needs it, or ``out`` holds something else.
    """
    refuse_out(adaptation.package, out)
    if adaptation.comparison.verdict is Verdict.WORSE and not even_if_worse:
        raise WorseError(
            out, "wasn't written, since the adapted model is worse on patients that it didn't see", _WORSE
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "package"
        description = _write(adaptation, folder)
        evidence = _evidence(adaptation, ModelPackage.open(folder))
        stated = evidence_json(evidence) | {ADAPTATION: as_json(adaptation)}
        card = f"{tested_card(evidence)}\n{chr(10).join(_card(adaptation))}\n"
        text = json.dumps(plain(stated), separators=(",", ":"), allow_nan=False)
        add_evidence(folder, {EVIDENCE: text.encode(), MODEL_CARD: card.encode()})
        assert description.model_id == evidence.subject.model
        with atomic_folder(out) as partial:
            shutil.copytree(folder, partial, dirs_exist_ok=True)
    return ModelPackage.open(out)


def as_json(adaptation: Adaptation) -> dict[str, Any]:
    """What was adapted, and the figures before and after, as values that :mod:`json` writes."""
    learned, comparison = adaptation.learned, adaptation.comparison
    return {
        "from": adaptation.package.id,
        "step": str(adaptation.plan.step),
        "all_classes": adaptation.plan.all_classes,
        "strength": plain(learned.strength),  # null: only the bias changed
        "images": len(adaptation.prepared.images),
        "verdict": str(comparison.verdict),
        "sentence": comparison.sentence,
        "warnings": list(adaptation.prepared.warnings),
        "figures": [_as_json(change) for change in comparison.changes],
    }


def _as_json(change: Change) -> dict[str, Any]:
    estimates = {"before": change.before, "after": change.after, "difference": change.difference}
    return {"name": change.name, **{side: asdict(estimate) for side, estimate in estimates.items()}}


def _write(adaptation: Adaptation, folder: Path) -> PackageDescription:
    package, change = adaptation.package, adaptation.learned.change
    layer = adaptation.prepared.directions.layer(change.weights, change.bias)
    network = folder.with_suffix(".onnx")
    try:
        network.write_bytes(with_last_layer_changed(package.read(NETWORK), *layer))
    except UnusableNetworkError as error:
        hint = "give a package that `lungsight train` made"
        raise PackageError(package.path, f"can't be adapted: {error}", hint) from error
    description = _described(adaptation)
    return write_package(
        folder,
        description,
        network=network,
        weights=weights_changed(package.read(WEIGHTS), *layer),
        reference_inputs=load_safetensors(package.read(REFERENCE))["inputs"],
        trained_on=(*package.trained_on, *_seen(adaptation)),
        model_card=model_card(description),
        parts={name: package.read(name) for name in package.description.described_parts},
    )


def _described(adaptation: Adaptation) -> PackageDescription:
    before = adaptation.package.description
    return before.model_copy(
        update={
            "name": adaptation.name,
            "created": adaptation.made,
            "lungsight_version": __version__,
            "intended_use": f"{RESEARCH_ONLY} Frontal chest radiographs of the hospital it was adapted to.",
            "initial_weights": f"{GOES_ON_FROM}{adaptation.package.id}; {adaptation.history}",
            "calibration": adaptation.learned.calibration,
            "decision": adaptation.learned.decision,
            "categories": None,  # measured with the thresholds before
            "sources": _joined(before.sources, _sources(adaptation)),
            "files": {},
        }
    )


def _sources(adaptation: Adaptation) -> tuple[TrainingSource, ...]:
    rows = adaptation.prepared.testset.table
    return tuple(
        TrainingSource(
            name=str(name),
            images=len(images),
            patients=images["patient"].nunique(),
            labels={str(label): int(n) for label, n in images[TRUTH].value_counts().items()},
            reference_standard="; ".join(sorted(set(images["reference_standard"]) - {""})) or "not stated",
        )
        for name, images in rows.groupby("source", sort=True)
    )


def _joined(before: Sequence[TrainingSource], new: Sequence[TrainingSource]) -> tuple[TrainingSource, ...]:
    """The sources of a training and those adapted to; one that is in both is added up."""
    known = {source.name: source for source in before}
    for source in new:
        old = known.get(source.name)
        if old is not None:
            labels = {
                name: old.labels.get(name, 0) + source.labels.get(name, 0) for name in old.labels | source.labels
            }
            counts = {"images": old.images + source.images, "patients": old.patients + source.patients}
            source = old.model_copy(update={**counts, "labels": labels})
        known[source.name] = source
    return tuple(known.values())


def _seen(adaptation: Adaptation) -> Iterator[TrainedImage]:
    """The images adapted to, as a test knows them again."""
    prepared = adaptation.prepared
    rows = prepared.testset.table[["source", "patient"]].itertuples(index=False)
    for file, thumbnail, (source, patient) in zip(
        prepared.fingerprints.files, prepared.fingerprints.thumbnails, rows, strict=True
    ):
        yield TrainedImage.of(
            file, source=str(source), patient=str(patient), split=TRAIN, perceptual_hash=perceptual_hash(thumbnail)
        )


def _evidence(adaptation: Adaptation, adapted: ModelPackage) -> Evidence:
    """What the cross-validated predictions show of the adapted package; no image and no path of one is in it."""
    description = adapted.description
    settings = Settings(
        resampling=adaptation.settings.resampling, command=adaptation.settings.command, pictures=False
    )  # fmt: skip
    sources = tuple(sorted(source.name for source in description.sources))
    subject = TestedModel(adapted.id, description.classes, description.target, description, sources)
    notices = (
        _CROSS_VALIDATED,
        adaptation.comparison.sentence,
        f"{adaptation.fitted} Before it was {adaptation.package.id}, whose grade doesn't carry over.",
        *adaptation.prepared.warnings,
    )
    eligible = replace(adaptation.prepared.eligible, overlap=None)
    with ProgressBars() as tasks:
        return evaluate_testset(
            subject, adaptation.after, eligible, notices, settings, tasks, Detector.load(adapted, 1)
        )  # fmt: skip


def _card(adaptation: Adaptation) -> Iterator[str]:
    """What the model card says of the adaptation."""
    yield "## Adapted"
    yield ""
    yield f"From the package {cell(adaptation.package.id)}: {cell(adaptation.history)}."
    yield f"{cell(adaptation.fitted)} {cell(adaptation.comparison.sentence)} {_CROSS_VALIDATED}"
    yield ""
    target = as_words(adaptation.package.description.target)
    rows = (
        (TITLES[c.name].format(target=target), as_figure(c.before), as_figure(c.after), as_figure(c.difference))
        for c in adaptation.comparison.changes
    )
    yield from table(("figure", "before", "after", "difference"), rows)
