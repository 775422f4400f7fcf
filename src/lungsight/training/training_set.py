"""From a manifest and a recipe to the images a run trains on, each with its class and its side of the split."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.search import DuplicatePair, Kind, find_duplicates
from lungsight.datasets.label_mapping import (
    NO_DIAGNOSIS,
    denied_by,
    label_counts,
    labels_of,
    no_label_known,
    options_for,
    refuse_ambiguous,
    wanted_labels,
)
from lungsight.datasets.leakage import Leak, find_leaks, leak_groups
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.splits import TEST, TRAIN, VALIDATION, split_by_group, split_by_image
from lungsight.errors import ManifestError, RecipeError, SplitLeakageError, printable
from lungsight.package import ModelPackage, find_package
from lungsight.package.bundled import is_package
from lungsight.package.trained_on import patient_digest
from lungsight.training.recipe import Recipe, Selection


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The images of a run, with class and split.

    Attributes:
        manifest: with its split.
        classes: names.
        shares: float32 [images, classes]: 1 for the class of the label, or, in training only, a soft label's shares.
        left_out: how many images were left out, by reason.
        leaks: those that the recipe allows.
    """

    manifest: Manifest
    classes: tuple[str, ...]
    shares: NDArray[np.float32]
    left_out: dict[str, int]
    leaks: tuple[Leak, ...] = ()

    @property
    def targets(self) -> NDArray[np.int64]:
        """Integers [images]: indices into ``classes``; of a soft label, the class with the largest share."""
        return np.asarray(self.shares.argmax(axis=1), dtype=np.int64)

    def rows(self, side: str) -> NDArray[np.int64]:
        """Row numbers on one side of the split."""
        return np.flatnonzero(self.manifest.table["split"] == side)

    @property
    def class_names(self) -> pd.Series:
        """The class of each image."""
        return pd.Series([self.classes[t] for t in self.targets])


def choose(recipe: Recipe, manifest: Manifest, folders: tuple[Path, ...] = ()) -> tuple[Manifest, dict[str, int]]:
    """The images that a recipe selects, and how many are left out, by reason.

    Args:
        recipe: with its rules.
        manifest: all images.
        folders: where to look for the lists of files that the recipe names.

    Raises:
        RecipeError: a list of files isn't found.
        ManifestError: labels may be mistaken or state only what an image isn't, or no image is chosen.
    """
    counts = {str(label): int(n) for label, n in manifest.table["label"].value_counts().items()}
    refuse_ambiguous(manifest.name, counts, recipe.classes, recipe.target, also=recipe.soft_labels)
    _refuse_denials(recipe, manifest.name, counts)
    classes = labels_of(recipe.classes, manifest.table["label"].unique())
    keep = manifest.table["label"].isin([*classes, *recipe.soft_labels])
    left_out = {"label is of no class of the recipe": int((~keep).sum())}
    if recipe.frontal_only:
        frontal = manifest.is_frontal & manifest.is_projection
        left_out["not a frontal radiograph"] = int((keep & ~frontal).sum())
        keep &= frontal
    chosen = _picked(recipe.select, manifest, keep, recipe.seed, folders) if recipe.select else keep
    testing = _picked(recipe.test, manifest, keep & ~chosen, recipe.seed, folders)
    left_out["not selected by the recipe"] = int((keep & ~chosen & ~testing).sum())
    sides = manifest.table["split"].where(~testing, TEST).where(~chosen | (recipe.split.unit == "given"), "")
    found = manifest.with_columns(split=sides).where(chosen | testing)
    if not len(found):
        raise _nothing_chosen(recipe, manifest, counts)
    return found, {reason: n for reason, n in left_out.items() if n}


def _refuse_denials(recipe: Recipe, name: str, counts: Mapping[str, int]) -> None:
    """A label such as ``not_covid19`` fits two classes, but not three."""
    classes = labels_of(recipe.classes, counts)
    denying = {label: n for label, n in counts.items() if label not in classes and denied_by(label, (recipe.target,))}
    if denying:
        problem = (
            f"the label {label_counts(denying)} states only what an image isn't, and the recipe has further classes"
        )
        raise ManifestError(name, problem, f"train two classes: {_two_classes(recipe)}")


def _two_classes(recipe: Recipe) -> str:
    labels = ",".join(label for label in recipe.classes[recipe.target] if label != "*") or recipe.target
    return f"--class {shlex.quote(f'{recipe.target}={labels}')} --class 'other=*'"


def choose_every_class(
    recipe: Recipe, manifest: Manifest, folders: tuple[Path, ...] = ()
) -> tuple[Manifest, dict[str, int]]:
    """As :func:`choose`; raises ManifestError also if a class has no image, before anything slow is done."""
    chosen, left_out = choose(recipe, manifest, folders)
    counts = {str(label): int(n) for label, n in manifest.table["label"].value_counts().items()}
    present = set(labels_of(recipe.classes, chosen.table["label"].unique()).values())
    for name in recipe.classes:
        if name not in present:
            raise _no_image_of(name, recipe, chosen.name, counts)
    return chosen, left_out


def _no_image_of(name: str, recipe: Recipe, manifest: str, counts: Mapping[str, int]) -> ManifestError:
    known = labels_of(recipe.classes, counts)
    unknown = [label for label in counts if label not in (*known, *recipe.soft_labels, *NO_DIAGNOSIS)]
    wanted = wanted_labels(recipe.classes)
    problem = f"no training image is of class {name}. Found: {label_counts(counts)}. Wanted: {wanted}"
    hints = [f"state what labels mean: {options_for(unknown, recipe.classes, recipe.target)}"] if unknown else []
    if name != recipe.target and len(recipe.classes) > 2:
        hints.append(f"train two classes: {_two_classes(recipe)}")
    return ManifestError(manifest, problem, ", or ".join(hints) or "give a manifest that holds that class")


def _nothing_chosen(recipe: Recipe, manifest: Manifest, counts: Mapping[str, int]) -> ManifestError:
    """What was found, what was wanted, and how to correct it."""
    if not labels_of(recipe.classes, counts):
        return no_label_known(manifest.name, counts, recipe.classes, recipe.target)
    found = [f"labels {label_counts(counts)}"]
    for column in ("source", "view"):
        values = manifest.table[column].replace("", "unknown").value_counts()
        found.append(f"{column}s {label_counts({str(value): int(n) for value, n in values.items()})}")
    rules = "; ".join(rule for one in recipe.select if (rule := _in_words(one)))
    wanted = f"labels {wanted_labels(recipe.classes)}"
    wanted += ("; frontal views" if recipe.frontal_only else "") + (f"; of these only: {rules}" if rules else "")
    problem = f"holds no image that the recipe asks for. Found: {'; '.join(found)}. Wanted: {wanted}"
    return ManifestError(manifest.name, problem, "correct the table, or the recipe's select and frontal_only")


def _in_words(rule: Selection) -> str:
    stated = {"source": rule.source, "labels": rule.labels, "views": rule.views, "files in": rule.files}
    return ", ".join(
        f"{name} {value if isinstance(value, str) else ' or '.join(value)}" for name, value in stated.items() if value
    )


def divide(
    recipe: Recipe,
    chosen: Manifest,
    left_out: dict[str, int],
    *,
    pairs: Sequence[DuplicatePair] | None = None,
    fingerprint_cache: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingSet:
    """Split the chosen images.

    Args:
        recipe: how to split.
        chosen: as :func:`choose` returns them.
        left_out: likewise.
        pairs: the copies among the images, where they are known; None: looked for, if the recipe asks for it.
        fingerprint_cache: folder; the user's cache if not given.
        progress: counts the steps of the search for duplicates.

    Raises:
        SplitLeakageError: images, patients or studies are on both sides, and the recipe doesn't allow it.
        ManifestError: a class has no image, or the same image two labels.
    """
    if pairs is None and recipe.split.find_duplicates:
        fingerprints = fingerprint_manifest(chosen, cache=fingerprint_cache, progress=progress)
        pairs = find_duplicates(fingerprints, simulated=list(chosen.is_simulated), progress=progress)
    pairs = pairs or []
    _refuse_two_labels(recipe, chosen, pairs)
    groups = leak_groups(chosen, pairs)
    sides = _sides(recipe, chosen, groups, fingerprint_cache)
    _refuse_seen(recipe, chosen, groups, sides, fingerprint_cache)
    named_for_test = (chosen.table["split"] == TEST).to_numpy() & (recipe.split.unit != "given")
    fitted = np.isin(sides, (TRAIN, VALIDATION)) & ~named_for_test
    known = named_for_test & np.isin(groups, groups[fitted])
    if known.any():
        left_out = {**left_out, "test image of a patient trained on": int(known.sum())}
    manifest = chosen.with_columns(split=np.where(known, "", sides))
    leaks = tuple(find_leaks(manifest, pairs))
    if leaks and not recipe.split.allow_leaks:
        first = str(leaks[0]).rstrip(".")
        hint = "split by patient, or give --set split.allow_leaks=true and report it"
        raise SplitLeakageError(chosen.name, f"{len(leaks)} leaks across the split, the first: {first}", hint)
    return _with_targets(recipe, manifest.where(manifest.table["split"] != ""), left_out, leaks)


def _refuse_two_labels(recipe: Recipe, chosen: Manifest, pairs: Sequence[DuplicatePair]) -> None:
    """Raise ManifestError if the same file, under two names, is of two classes."""
    paths, labels = chosen.table["path"], chosen.table["label"]
    classes = labels_of(recipe.classes, labels.unique())
    wrong = [
        (pair.first, pair.second)
        for pair in pairs
        if pair.kind in (Kind.IDENTICAL_FILE, Kind.IDENTICAL_PIXELS)
        and classes.get(labels[pair.first]) != classes.get(labels[pair.second])
    ]
    if wrong:
        stated = " and ".join(f"{printable(paths[row])} is labelled {printable(labels[row])}" for row in wrong[0])
        more = f", and so are {len(wrong) - 1:,} more pairs" if len(wrong) > 1 else ""
        raise ManifestError(chosen.name, f"{stated}, and both are the same image{more}", "give each image one label")


def sides_as_in(
    package: ModelPackage, manifest: Manifest, groups: NDArray[np.int_], fingerprint_cache: Path | None = None
) -> NDArray[np.object_]:
    """The side of the split on which a package had each image; empty for groups of sources that it doesn't know.

    A group takes the side of those of its images and patients that the package was trained on, or else validated on,
    or else, in a source that the package knows, is for test. Images are known by file, patients by source and key.
    """
    files = fingerprint_manifest(manifest, cache=fingerprint_cache).files
    table = manifest.table
    patients = [patient_digest(source, key) for source, key in zip(table["source"], table["patient"], strict=True)]
    sides = np.full(len(table), "", dtype=object)
    known = {image.source for image in package.trained_on}
    sides[np.isin(groups, groups[table["source"].isin(known)])] = TEST
    for side in (VALIDATION, TRAIN):
        seen = {name for image in package.trained_on if image.split == side for name in (image.sha256, image.patient)}
        there = np.array([file in seen or key in seen for file, key in zip(files, patients, strict=True)])
        sides[np.isin(groups, groups[there])] = side
    return sides


def _refuse_seen(
    recipe: Recipe, chosen: Manifest, groups: NDArray[np.int_], sides: NDArray[np.object_], cache: Path | None
) -> None:
    """Raise SplitLeakageError if the package whose training goes on has seen what this run validates or tests on."""
    if recipe.split.allow_leaks or not is_package(recipe.weights):
        return
    seen = sides_as_in(ModelPackage.open(find_package(recipe.weights)), chosen, groups, cache) == TRAIN
    wrong = np.flatnonzero(seen & np.isin(sides, (VALIDATION, TEST)))
    if len(wrong):
        example = printable(Path(chosen.table["path"].iloc[wrong[0]]).name)
        problem = (
            f"{recipe.weights} was trained on {len(wrong)} images that are for validation or test, such as {example}"
        )
        hint = f"give --set split.as_in={recipe.weights}, which keeps its patients on the side of training"
        raise SplitLeakageError(chosen.name, problem, hint)


def _sides(
    recipe: Recipe, chosen: Manifest, groups: NDArray[np.int_], fingerprint_cache: Path | None
) -> NDArray[np.object_]:
    split = recipe.split
    table = chosen.table
    if split.unit == "given" and split.as_in:
        raise RecipeError("split.as_in", "the manifest's own split can't be another's, too", "leave one of them out")
    if split.unit == "given":
        empty = int((table["split"] == "").sum())
        if empty:
            raise ManifestError(chosen.name, f"{empty} images have no split", "fill the column split")
        return table["split"].to_numpy(dtype=object)
    sides = table["split"].to_numpy(dtype=object).copy()
    if split.as_in:
        kept = sides_as_in(ModelPackage.open(find_package(split.as_in)), chosen, groups, fingerprint_cache)
        sides = np.where(sides == "", kept, sides)
    pool = np.flatnonzero(sides == "")
    shares = {"validation": split.validation, "test": split.test, "seed": recipe.seed}
    if split.unit == "image":
        sides[pool] = split_by_image(len(pool), **shares)  # type: ignore[arg-type]
    else:
        strata = (table["label"] + "|" + table["source"]).to_numpy()[pool]
        sides[pool] = split_by_group(groups[pool], list(strata), **shares)  # type: ignore[arg-type]
    return sides


def _with_targets(
    recipe: Recipe, manifest: Manifest, left_out: dict[str, int], leaks: tuple[Leak, ...]
) -> TrainingSet:
    undecided = manifest.table["label"].isin(list(recipe.soft_labels)) & (manifest.table["split"] != TRAIN)
    if undecided.any():
        manifest = manifest.where(~undecided)
        left_out = {**left_out, "soft label, so nothing to validate or test with": int(undecided.sum())}
    truth = _shares(recipe, manifest)
    images = TrainingSet(manifest, tuple(recipe.classes), truth, left_out, leaks)
    certain = truth[images.rows(TRAIN)] == 1
    counts = {str(label): int(n) for label, n in manifest.table["label"].value_counts().items()}
    for i, name in enumerate(images.classes):
        if not certain[:, i].any():
            raise _no_image_of(name, recipe, manifest.name, counts)
    return images


def _shares(recipe: Recipe, manifest: Manifest) -> NDArray[np.float32]:
    """float32 [images, classes]."""
    labels = manifest.table["label"]
    certain = {label: {name: 1.0} for label, name in labels_of(recipe.classes, labels.unique()).items()}
    shares = certain | recipe.soft_labels
    rows = [[shares[label].get(name, 0.0) for name in recipe.classes] for label in labels]
    return np.array(rows, dtype=np.float32).reshape(len(labels), len(recipe.classes))


def _picked(
    rules: tuple[Selection, ...], manifest: Manifest, allowed: pd.Series, seed: int, folders: tuple[Path, ...]
) -> pd.Series:
    picked = pd.Series(False, index=manifest.table.index)
    for number, rule in enumerate(rules):
        matching = allowed & ~picked & _matches(rule, manifest, folders)
        if rule.at_most is not None and matching.sum() > rule.at_most:
            drawn = np.random.default_rng([seed, number]).permutation(np.flatnonzero(matching))[: rule.at_most]
            matching = pd.Series(np.isin(np.arange(len(manifest)), drawn), index=matching.index)
        picked |= matching
    return picked


def _matches(rule: Selection, manifest: Manifest, folders: tuple[Path, ...]) -> pd.Series:
    table = manifest.table
    matching = pd.Series(True, index=table.index)
    if rule.source is not None:
        matching &= table["source"] == rule.source
    if rule.labels is not None:
        matching &= table["label"].isin(rule.labels)
    if rule.views is not None:
        matching &= table["view"].isin(rule.views)
    if rule.files is not None:
        names = _listed_files(rule, table[matching], folders)
        matching &= table["path"].map(lambda path: Path(path).name).isin(names)
    return matching


def _listed_files(rule: Selection, table: pd.DataFrame, folders: tuple[Path, ...]) -> set[str]:
    """The list is where the recipe states, or in one of ``folders``, or beside or above the source's images."""
    assert rule.files is not None
    beside = {folder for path in table["path"].head(1) for folder in (Path(path).parent, Path(path).parent.parent)}
    for folder in (Path(), *folders, *sorted(beside)):
        if (folder / rule.files).is_file():
            return set(pd.read_csv(folder / rule.files)["filename"].astype(str))
    searched = f"looked in the working folder, beside the manifest and in the folder of {rule.source or 'the images'}"
    raise RecipeError(
        f"list of files {rule.files}", f"not found ({searched})", "give its full path with --set select.0.files=PATH"
    )
