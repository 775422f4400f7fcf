"""A package's calibration, thresholds and readers' words anew, and what its answers are worth on other patients.

    python benchmarks/quality/answer.py remake released all.csv --work FOLDER --out FOLDER/package \\
        --calibration docs/results/answer_calibration.csv
    python benchmarks/quality/answer.py measure FOLDER/package all.csv --work FOLDER --out docs/results/answer.csv \\
        --before released --split FOLDER/divided.csv

``remake`` fits on the package's own validation patients and leaves its networks as they are, to the byte. Which
words of siim's radiologists a decision stands for is chosen on siim's validation patients, and what it means is
measured on siim's test patients. Nothing is chosen on a test patient.

``measure`` answers the images of patients that the package was neither trained nor tuned on. With ``--before`` it
does the same with another package's calibration and thresholds, by the rule of its day, in which an image that is
out-of-distribution was inconclusive. ``--split`` is a manifest whose column ``split`` limits the images to its test
side (as ``held_out.py divide`` writes it): covid-cxnet's copies of other images are known there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from exchange_gate import card_of, tested_model
from lungsight._files import atomic_folder
from lungsight.components.calibration import calibrated, softmax
from lungsight.components.decision import INCONCLUSIVE, NO_SIGN, REFUSED
from lungsight.datasets.label_mapping import labels_of
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.splits import TEST, TRAIN, VALIDATION
from lungsight.evaluation.answer_store import FILE, AnswerStore
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import KIND, UNFAMILIAR, TestSet, kind_of
from lungsight.evaluation.testset.testset import REFUSED as REFUSED_BECAUSE
from lungsight.inference import Detector
from lungsight.package import ModelPackage, PackageDescription, find_package
from lungsight.package.storage import METADATA, MODEL_CARD, NETWORK
from lungsight.package.trained_on import patient_digest
from lungsight.package.write import sign
from lungsight.statistics.bootstrap import Resampling, Sample, Share, shares
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import TRUTH, logit_column
from lungsight.statistics.thresholds import Aim
from lungsight.training.fit_calibration import ValidationLogits, choose_thresholds, fit_calibration, largest_classes
from lungsight.training.fit_categories import Readings, fit_categories

#: What siim's radiologists call what the manifest's labels say.
_READERS = {
    "covid19": "typical",
    "indeterminate": "indeterminate",
    "atypical": "atypical",
    "no_pneumonia": "negative",
}
_READ_BY = "siim's radiologists, the appearance of the study"
_NORMAL = "no_pneumonia"
_EVERY, _BEFORE, _NOW = "all", "before", "now"
_COLUMNS = ["rule", "kind", "source", "view", "among", "figure", "value", "low", "high", "n", "patients", "withheld"]

app = typer.Typer(add_completion=False)
Package = Annotated[str, typer.Argument(help="A package, by name or path.")]
Data = Annotated[Path, typer.Argument(help="The manifest of all sources.")]
Work = Annotated[Path, typer.Option("--work", help="Folder in which the networks' answers are kept.")]


@app.command()
def remake(
    package: Package,
    data: Data,
    work: Work,
    out: Annotated[Path, typer.Option(help="The new package's folder.")],
    calibration: Annotated[Path, typer.Option(help="CSV: the most probable class by source, before and after.")],
    most_inconclusive: Annotated[float, typer.Option(help="Of each source.")] = 0.15,
) -> None:
    """Write the package again with calibration, thresholds and readers' words of today."""
    opened = ModelPackage.open(find_package(package))
    images = Manifest.read(data)
    side = sides(opened, images)
    stated = opened.description
    validation = _answered(opened, images.where(_usable(images, stated) & (side == VALIDATION)), work)
    logits = _validation_logits(validation, stated)
    fitted = fit_calibration(logits)
    aim = Aim(most_inconclusive=most_inconclusive)
    decision = choose_thresholds(logits, fitted.probabilities, stated.target, aim, stated.decision.inconclusive_below)
    _largest(logits, stated, fitted.probabilities).to_csv(calibration, index=False)
    changed = stated.model_copy(update={"calibration": fitted.calibration, "decision": decision})
    read = _answered(opened, images.where(_readable(images, side)), work)
    changed = changed.model_copy(update={"categories": _categories(read, opened, changed)})
    print(_written(opened, changed, out).model_id)


@app.command()
def measure(
    package: Package,
    data: Data,
    work: Work,
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    before: Annotated[str, typer.Option(help="Another package of the same network, to compare with.")] = "",
    split: Annotated[Path | None, typer.Option(help="A manifest whose test side limits the images.")] = None,
) -> None:
    """Write what the package answers on other patients, by source and view."""
    opened = ModelPackage.open(find_package(package))
    images, stated = Manifest.read(data), opened.description
    wanted = _usable(images, stated) & (sides(opened, images) == TEST)
    if split is not None:
        limits = Manifest.read(split).table
        wanted &= images.table["path"].isin(limits["path"][limits["split"] == TEST])
    older = ModelPackage.open(find_package(before)) if before else opened
    if older.description.files[NETWORK] != stated.files[NETWORK]:
        raise typer.BadParameter("--before is a package of another network.")
    tested = _answered(older, images.where(wanted), work)  # the networks are the same
    rules = {_NOW: _decisions(tested, stated)}
    if before:
        rules = {_BEFORE: _decisions_then(tested, older.description)} | rules
    rows = [
        {"rule": rule, **labels, "figure": e.name, **asdict(e)}
        for rule, decided in rules.items()
        for labels, e in _figures(tested, decided)
    ]
    table = pd.DataFrame(rows)[_COLUMNS]
    table[["value", "low", "high"]] = table[["value", "low", "high"]].round(4)
    table.to_csv(out, index=False)
    print(table[(table["view"] == _EVERY)].to_string(index=False))


def sides(package: ModelPackage, images: Manifest) -> NDArray[np.object_]:
    """On which side the package had the patient of each image; those that it never had are for test."""
    keys = zip(images.table["source"], images.table["patient"], strict=True)
    patients = np.array([patient_digest(source, patient) for source, patient in keys])
    found = np.full(len(images), TEST, dtype=object)
    for side in (VALIDATION, TRAIN):
        found[np.isin(patients, [image.patient for image in package.trained_on if image.split == side])] = side
    return found


def _usable(images: Manifest, stated: PackageDescription) -> pd.Series:
    """The frontal radiographs whose label is of a class."""
    return images.table["label"].isin(_labels(stated)) & images.is_frontal & images.is_projection


def _labels(stated: PackageDescription) -> set[str]:
    """The manifest's labels that are of a class."""
    return {str(label) for labels in stated.recipe["classes"].values() for label in labels}  # type: ignore[attr-defined]


def _answered(package: ModelPackage, images: Manifest, work: Path) -> TestSet:
    """The images with the package's answers and their class; without those that can't be analysed."""
    work.mkdir(parents=True, exist_ok=True)

    def show(done: int, total: int) -> None:
        if done % 200 < 8 or done == total:
            print(f"{done} of {total} images answered", flush=True)

    detector = Detector.load(package, features=True)
    with AnswerStore.open(work / FILE) as store:
        found = predict_manifest_images(detector, images, progress=show, store=store)
    classes = labels_of(package.description.recipe["classes"], images.table["label"].unique())  # type: ignore[arg-type]
    sources = {source.name for source in package.description.sources}
    table = found.table
    found = found.with_columns(
        **{TRUTH: table["label"].map(classes).fillna(""), KIND: [kind_of(s, sources) for s in table["source"]]}
    )
    return found.where((found.table["fault"] == "").to_numpy())


def _validation_logits(validation: TestSet, stated: PackageDescription) -> ValidationLogits:
    table = validation.table
    targets = table[TRUTH].map(stated.classes.index).to_numpy(dtype=np.int64)
    sources = table["source"].to_numpy(dtype=str)
    return ValidationLogits(stated.classes, _logits(validation, stated), targets, validation.patient, sources)


def _logits(images: TestSet, stated: PackageDescription) -> NDArray[np.float64]:
    return images.table[[logit_column(name) for name in stated.classes]].to_numpy(dtype=np.float64)


def _largest(logits: ValidationLogits, stated: PackageDescription, now: NDArray[np.float64]) -> pd.DataFrame:
    """The most probable class by source: without calibration, with the package's own, and with that of today."""
    old = calibrated(stated.calibration, stated.classes, logits.logits)
    pairs = zip(largest_classes(logits, softmax(logits.logits), old), largest_classes(logits, old, now), strict=True)
    rows = [
        {"source": then.source, "images": then.images, "class": name, "truth": then.truth[name]}
        | {"uncalibrated": first.before[name], "before": first.after[name], "now": then.after[name]}
        for first, then in pairs
        for name in stated.classes
    ]
    return pd.DataFrame(rows)


def _readable(images: Manifest, side: NDArray[np.object_]) -> pd.Series:
    """Siim's images of patients that weren't trained on, with any of its radiologists' four categories."""
    table = images.table
    return (table["source"] == "siim") & table["label"].isin(list(_READERS)) & (side != TRAIN)


def _categories(read: TestSet, package: ModelPackage, changed: PackageDescription) -> object:
    """What the decisions mean in the words of siim's radiologists.

    Patients without a typical or negative image stand in neither list of the package: half of them, by their digest,
    count as validation.
    """
    table = read.table
    digests = [patient_digest("siim", patient) for patient in table["patient"]]
    validated = {image.patient for image in package.trained_on if image.split == VALIDATION}
    certain = table["label"].isin(("covid19", _NORMAL))
    tested = {digest for digest, sure in zip(digests, certain, strict=True) if sure} - validated
    half = np.array(
        [digest in validated or (digest not in tested and int(digest[-1], 16) % 2 == 0) for digest in digests]
    )
    readings = Readings(
        _decisions(read, changed), table["label"].map(_READERS).to_numpy(dtype=str), np.array(digests)
    )
    chosen, measured = (
        Readings(readings.decisions[rows], readings.categories[rows], readings.patients[rows])
        for rows in (half, ~half)
    )
    possible = changed.decision.possible(changed.classes, changed.target)
    return fit_categories(chosen, measured, possible, source="siim", readers=_READ_BY)


def _decisions(images: TestSet, stated: PackageDescription) -> NDArray[np.str_]:
    """By the package's rule, with its own calibration."""
    p = calibrated(stated.calibration, stated.classes, _logits(images, stated))
    return stated.decision.decide(p, stated.classes, stated.target, refused=_refused(images)).astype(str)


def _decisions_then(images: TestSet, stated: PackageDescription) -> NDArray[np.str_]:
    """By the rule before December 2026: what is out-of-distribution is inconclusive."""
    unlike = images.table[UNFAMILIAR].to_numpy(dtype=bool) & ~_refused(images)
    return np.where(unlike, INCONCLUSIVE, _decisions(images, stated))


def _refused(images: TestSet) -> NDArray[np.bool_]:
    return (images.table[REFUSED_BECAUSE] != "").to_numpy(dtype=bool)


def _figures(images: TestSet, decided: NDArray[np.str_]) -> Iterator[tuple[dict[str, str], Estimate]]:
    views = images.views
    for kind, source, mask in images.group_masks(together=False):
        for view in (_EVERY, "AP", "PA"):
            here = mask & ((views == view) | (view == _EVERY))
            if here.any():
                labels = {"kind": kind, "source": source, "view": view}
                yield from _of(labels, images.where(here), decided[here])


def _of(
    labels: dict[str, str], images: TestSet, decided: NDArray[np.str_]
) -> Iterator[tuple[dict[str, str], Estimate]]:
    analysed, open_ = decided != REFUSED, decided == INCONCLUSIVE
    positive, normal = images.positive, (images.table[TRUTH] == _NORMAL).to_numpy()
    called, no_sign = decided == images.target, decided == NO_SIGN
    answered = called | no_sign
    groups = {
        _EVERY: {"inconclusive": (open_, analysed), "refused": (~analysed, np.ones(len(images), dtype=bool))},
        "with": {
            "inconclusive": (open_, positive & analysed),
            "sensitivity_of_answered": (called, positive & answered),
            "no_sign": (no_sign, positive & analysed),
        },
        "without": {
            "inconclusive": (open_, ~positive & analysed),
            "specificity_of_answered": (no_sign, ~positive & answered),
            "no_sign": (no_sign, ~positive & analysed),
            "false_alarms": (called, ~positive & analysed),
        },
        "normal": {
            "no_sign": (no_sign, normal & analysed),
            "false_alarms": (called, normal & analysed),
        },
    }
    sample = Sample(images.patient)
    for group, wanted in groups.items():
        some = {name: Share(*masks, "no such image") for name, masks in wanted.items() if masks[1].any()}
        if some:
            yield from (({**labels, "among": group}, e) for e in shares(sample, some, Resampling()))


def _written(package: ModelPackage, changed: PackageDescription, out: Path) -> PackageDescription:
    """The package with another description; every other file but the model card stays byte for byte."""
    kept = {name: digest for name, digest in changed.files.items() if name != METADATA}
    with atomic_folder(out) as partial:
        shutil.copytree(package.path, partial, dirs_exist_ok=True)
        (partial / METADATA).unlink(missing_ok=True)
        described = sign(partial, changed.model_copy(update={"files": kept}))
        card = card_of(package.model_card, described, _note(package))
        (partial / MODEL_CARD).write_text(card, encoding="utf-8")
        signed = sign(partial, described, MODEL_CARD)
        ModelPackage.open(partial).verify()
    return signed


def _note(package: ModelPackage) -> str:
    tested = tested_model(package)
    if tested is None:
        return ""
    return (
        f"## What the figures below are of\n\nThe grade above and the figures below are of the model {tested}: this "
        "network and these lung fields, with an earlier gate, calibration and thresholds, and when an "
        "out-of-distribution image was inconclusive. AUROCs, heatmaps and audits say of this model what they said of "
        "that one, but for the small change that the calibration makes to the ranking. What is said of probabilities "
        "(ECE, Brier score, the most probable class), at thresholds and of refused images is out of date: the "
        "answers of this model on the same patients stand in docs/results/answer.md, its gate in "
        "docs/results/gate.md.\n\n"
    )


if __name__ == "__main__":
    app()
