"""The package's own recipe trained again, each time without one source; taken up again where it was cut off."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from lungsight.datasets.duplicates.fingerprints import Progress, fingerprint_manifest, silent
from lungsight.datasets.manifest import COLUMNS, Manifest
from lungsight.datasets.splits import TRAIN, VALIDATION
from lungsight.errors import ManifestError, PackageError
from lungsight.evaluation.answer_store import FILE, AnswerStore
from lungsight.evaluation.testset.classes import class_of_labels
from lungsight.evaluation.testset.overlap import Match, TrainingImages, find_overlap
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import INTERNAL, KIND, TestSet
from lungsight.inference import Detector
from lungsight.package import ModelPackage
from lungsight.package.description import GOES_ON_FROM
from lungsight.statistics.outcomes import FAULT, TRUTH, Mask

#: Of the images trained on, the share that a manifest must hold for a training on it to be the same training.
MUST_BE_FOUND = 0.99


@dataclass(frozen=True, eq=False)
class HeldOut:
    """One source of the training, and what came of training without it.

    Attributes:
        source: its name.
        full, held_out: the same test images of the source, as the package and as the model that was trained without
            the source judge them. Empty where the test has no image of the source.
        withheld: why it couldn't be trained without; then both are empty.
    """

    source: str
    full: TestSet
    held_out: TestSet
    withheld: str = ""


def retrain_without_each(
    package: ModelPackage,
    manifest: Manifest,
    testset: TestSet,
    folder: Path,
    *,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    progress: Progress = silent,
) -> tuple[HeldOut, ...]:
    """Train the package's recipe without each of its sources, and let each model predict the source left out.

    Args:
        package: whose recipe is trained.
        manifest: holds the images that the package was trained on; they are known by their sha256, and keep the side
            of the split that they had.
        testset: of the package; a held-out source is tested on its internal images (other patients than those
            trained on), so that both models are compared on images that neither has seen.
        folder: gets a run ``without-<source>`` for each.
        cache: where training keeps decoded images (if not given, the user's cache folder).
        say: called with a sentence on each source held out.
        progress: counts the manifest's images as they are looked up.

    Raises:
        PackageError: it doesn't hold a whole recipe.
        ManifestError: it lacks images that the package was trained on.
    """
    trained = _trained_images(package, manifest, progress)
    sources = sorted(set(trained.table["source"]))
    return tuple(_held_out(package, trained, testset, source, folder, cache, say) for source in sources)


def _trained_images(package: ModelPackage, manifest: Manifest, progress: Progress) -> Manifest:
    """The manifest's images that the package was trained or tuned on, each with its side of the split."""
    sides = {image.sha256: image.split for image in package.trained_on}
    files = fingerprint_manifest(manifest, progress=progress).files
    found = len(set(files) & set(sides))
    if found < MUST_BE_FOUND * len(sides) or not sides:
        raise ManifestError(
            manifest.name,
            f"holds {found:,} of the {len(sides):,} images that the model was trained on",
            "for --retrain, give with --data the manifest that the model was trained with",
        )
    split = pd.Series([sides.get(file, "") for file in files])
    once = ~pd.Series(files).duplicated()
    return manifest.with_columns(split=split).where((split != "") & once)


def _held_out(
    package: ModelPackage, trained: Manifest, testset: TestSet, source: str, folder: Path, cache: Path | None,
    say: Callable[[str], None],
) -> HeldOut:  # fmt: skip
    rest = trained.where(trained.table["source"] != source)
    table = testset.table
    tested = testset.where(((table["source"] == source) & (table[KIND] == INTERNAL)).to_numpy(dtype=bool)).scored
    nobody = tested.where(np.zeros(len(tested), dtype=bool))
    if reason := _why_not(package, rest, source):
        return HeldOut(source, nobody, nobody, reason)
    say(f"training without {source}: {len(rest):,} images")
    run = folder / f"without-{_as_file_name(source)}"
    _train(package, rest, source, run, cache)
    if not len(tested):
        return HeldOut(source, nobody, nobody)
    held_out = ModelPackage.open(run / "package")
    tested = tested.where(_unseen(tested, held_out))
    images = Manifest(tested.table[[*COLUMNS, TRUTH, KIND]], source)
    with AnswerStore.open(run / FILE) as store:
        again = predict_manifest_images(Detector.load(held_out, features=True), images, store=store)
    readable = (again.table[FAULT] == "").to_numpy(dtype=bool)
    return HeldOut(source, tested.where(readable), replace(again, target=testset.target).where(readable))


def _unseen(tested: TestSet, package: ModelPackage) -> Mask:
    """Images that the other sources don't hold too, by file or by their looks, bool [n]."""
    images = Manifest(tested.table, "tested")
    overlap = find_overlap(images, TrainingImages.of_package(package), patients=False)
    return ~(overlap.masks[Match.FILE] | overlap.masks[Match.LOOK_ALIKE])


def _why_not(package: ModelPackage, rest: Manifest, source: str) -> str:
    """Why there is no training without the source; empty where there is one."""
    if package.description.initial_weights.startswith(GOES_ON_FROM):
        return f"the model went on from {package.description.initial_weights}, which may have seen {source}"
    if not len(rest):
        return f"{source} is the only source that the model was trained on"
    classes = class_of_labels(package, rest.table["label"].unique())
    fitted = set(rest.table.loc[rest.table["split"] == TRAIN, "label"].map(classes))
    if missing := [name for name in package.description.classes if name not in fitted]:
        return f"without {source} no training image is of the class {missing[0]}"
    if not (rest.table["split"] == VALIDATION).any():
        return f"without {source} no image is left for validation"
    return ""


def _train(package: ModelPackage, rest: Manifest, source: str, run: Path, cache: Path | None) -> None:
    from lungsight.training.recipe import Recipe  # torch: only for those who retrain
    from lungsight.training.run import train

    stated = dict(package.description.recipe)
    # the images are already chosen and divided: as they were when the package was made
    split = {"unit": "given", "find_duplicates": False, "allow_leaks": True}
    name = f"{package.description.name} without {_as_file_name(source)}"
    try:
        recipe = Recipe.model_validate({**stated, "name": name, "select": (), "test": (), "split": split})
    except ValidationError as error:
        hint = "train it again with `lungsight train` to retrain it"
        raise PackageError(package.path, "doesn't hold the whole recipe of its training", hint) from error
    train(recipe, Manifest(rest.table, f"{rest.name} without {source}"), run, cache=cache)


def _as_file_name(source: str) -> str:
    return re.sub(r"[^\w.-]", "_", source)
