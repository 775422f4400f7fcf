"""Does the bench name the failures that the field has published, each by itself?

Every case plants one failure, trains a small network on it from random weights, and puts it to what a user has:
`lungsight data check`, `lungsight train` and `lungsight evaluate` (the functions behind them). All that they name is
kept. What must be named stands in CASES; the control, with nothing planted, must have nothing named. Whatever is
planted, the same code looks for what was named: none of it knows the case.

The split is the manifest's own. `auroc` is what a paper would have reported: all test images together. `auroc_fair`
is of the same network, where what was planted tells nothing.

    python benchmarks/quality/known_failures.py --out runs/known                        # the phantoms
    python benchmarks/quality/known_failures.py --out runs/known --data ../shared/data  # and the collections
    python benchmarks/quality/known_failures.py --out runs/known --summary docs/results/known_failures.csv

Three to five minutes a case on a busy core. A case that is in results.jsonl isn't run again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console

from lungsight.datasets.check import Check, check_manifest
from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.search import find_duplicates
from lungsight.datasets.leakage import leak_groups
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import HOSPITALS, Shortcut, write_collection
from lungsight.datasets.registry import collection_named
from lungsight.datasets.splits import TEST, TRAIN, VALIDATION, split_by_group, split_by_image
from lungsight.errors import SplitLeakageError
from lungsight.evaluation.answerable import Answerable, what_can_be_answered
from lungsight.evaluation.audits import within_view
from lungsight.evaluation.audits.image_statistics_only import TELLS
from lungsight.evaluation.evaluate import Settings, evaluate_package
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.grade import Mark
from lungsight.evaluation.grade import Shortcut as Flag
from lungsight.evaluation.testset.eligibility import SEEN_BEFORE
from lungsight.evaluation.testset.overlap import Match
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.inference import Detector
from lungsight.package import ModelPackage, find_package
from lungsight.reporting.evidence_json import write_json
from lungsight.statistics.bootstrap import Resampling, Sample
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.ranking import auroc, ranking_estimate
from lungsight.training.recipe import Recipe, load_recipe
from lungsight.training.run import train
from lungsight.training.training_set import choose_every_class, divide

TARGET, OTHER = "covid19", "other"
RESAMPLING = Resampling(replicates=1000)
RECIPE = (
    "name=known-failures",
    "backbone=test_resnet",
    "weights=random",
    "fine_maps=false",
    "batch_size=16",
    "split.unit=given",
    "split.find_duplicates=true",
    "keep=last",
    "checkpoint_seconds=3600",
    "sampling.balance=[]",
    "augmentation={flip=0, rotate=0, zoom=0, warp=0, lighting=0, noise=0.02, probability=0.5}",
    "stages=[{epochs=9, lr=3e-3}]",
)
#: For the training itself: whoever publishes such a model doesn't look.
AS_IT_IS = ("split.allow_leaks=true", "split.find_duplicates=false")

# What the bench may name, by the command that does.
PATIENT_LEAKS, IMAGE_LEAKS = "data check: a patient on both sides", "data check: an image on both sides"
CANT_ANSWER, CHILDREN_CHECKED = "data check: can't answer", "data check: children on one side"
STATISTICS_TELL, VIEW_TELLS = "data check: size and greys tell the label", "data check: the view tells the label"
TRAINING_REFUSED = "train: refused, the split leaks"
SHORTCUT_FOUND, VIEW_ALONE = "evaluate: shortcut found", "evaluate: the view alone tells the label"
ONE_SIDED, CHILDREN_WARNED = "evaluate: every source holds one class", "evaluate: children on one side"
TOO_GOOD = "evaluate: too good to be true"
_SEEN = {
    Match.PATIENT: "evaluate: left out, patients trained on",
    Match.FILE: "evaluate: left out, files trained on",
    Match.LOOK_ALIKE: "evaluate: left out, images like those trained on",
}
#: Of the warnings of a report, which have no name but their words.
_WARNINGS = {
    "No source holds both": ONE_SIDED,
    "known to be of children": CHILDREN_WARNED,
    "too good to be true": TOO_GOOD,
}
#: By name, the sentence that names it.
Named = dict[str, str]


@dataclass(frozen=True)
class Sizes:
    """How many patients each side has, and how large images are; of collections, images of both sides together."""

    train: int = 260
    test: int = 260
    pixels: int = 128

    @property
    def fair(self) -> int:
        return max(self.test // 2, 6)


@dataclass(frozen=True)
class Planted:
    """The images of a case, with their split, and those where what was planted tells nothing."""

    manifest: Manifest
    fair: Manifest


@dataclass(frozen=True)
class Case:
    """One published failure: what is planted, who published it, how images show it, and what must be named."""

    name: str
    planted: str
    published: str
    make: Callable[[Path, Sizes], Planted]
    expected: tuple[str, ...]


# The phantoms.


def phantoms(
    folder: Path, side: str, sizes: Sizes, shortcut: Shortcut | None = None, strength: float = 0.0, shots: int = 1
) -> Manifest:
    """Those of a side, drawn once for all cases; what is planted leaves patients as they are."""
    seed = ("train", "test", "fair").index(side)
    patients = {"train": sizes.train, "test": sizes.test, "fair": sizes.fair}[side]
    return write_collection(
        folder / f"{shortcut or 'plain'}-{strength:g}-{shots}" / side, patients=patients, seed=7000 + seed,
        size=sizes.pixels, shortcut=shortcut, strength=strength, images_per_patient=(shots, shots), workers=1,
    )  # fmt: skip


def divided(train_on: Manifest, test_on: Manifest) -> Manifest:
    """Both as one manifest; every tenth patient of the first is for validation."""
    numbers = pd.factorize(train_on.patient_key)[0]
    sides = np.where(numbers % 10 == 9, VALIDATION, TRAIN)
    return Manifest.joined([train_on.with_columns(split=sides), test_on.with_columns(split=TEST)], "planted")


def shortcut(folder: Path, sizes: Sizes, kind: Shortcut | None, strength: float = 1.0) -> Planted:
    """The shortcut follows the label at both hospitals, in training and test; in the fair images a coin."""
    sides = [phantoms(folder, side, sizes, kind, strength if kind else 0.0) for side in ("train", "test")]
    return Planted(divided(*sides), phantoms(folder, "fair", sizes, kind))


def arrows(folder: Path, sizes: Sizes) -> Planted:
    """As in figures of papers: an arrow at the first lesion of each positive."""
    sides = [with_arrows(phantoms(folder, side, sizes), folder / "arrows" / side) for side in ("train", "test")]
    return Planted(divided(*sides), phantoms(folder, "fair", sizes))


def with_arrows(manifest: Manifest, folder: Path) -> Manifest:
    table = manifest.table
    paths = [
        _with_arrow(Path(path), json.loads(boxes), folder / f"{i}.png") if label == TARGET and boxes != "[]" else path
        for i, (path, label, boxes) in enumerate(zip(table["path"], table["label"], table["boxes"], strict=True))
    ]
    return manifest.with_columns(path=[str(path) for path in paths])


def _with_arrow(file: Path, boxes: Sequence[Sequence[float]], out: Path) -> Path:
    """A white arrow from above, with its tip in the middle of the first box."""
    pixels = np.array(Image.open(file))
    height, width = pixels.shape
    left, top, right, bottom = boxes[0]
    tip = (round((left + right) / 2 * width), round((top + bottom) / 2 * height))
    length = round(0.12 * height)
    tail = (tip[0] - length // 2, max(tip[1] - length, 0))
    cv2.arrowedLine(pixels, tail, tip, 255, max(1, height // 64), cv2.LINE_AA, tipLength=0.4)
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(out)
    return out


def one_source_per_class(folder: Path, sizes: Sizes) -> Planted:
    """Positives of one hospital, all others of the other; fair are both of both."""
    sides = []
    for side in ("train", "test"):
        images = phantoms(folder, side, sizes)
        at_first = images.table["source"] == HOSPITALS[0].name
        sides.append(images.where(at_first == (images.table["label"] == TARGET)))
    return Planted(divided(*sides), phantoms(folder, "fair", sizes))


def patients_on_both_sides(folder: Path, sizes: Sizes) -> Planted:
    """Two images of each patient, split image by image."""
    images = phantoms(folder, "train", sizes, shots=2)
    sides = split_by_image(len(images), validation=0.1, test=0.4, seed=0)
    return Planted(images.with_columns(split=sides), phantoms(folder, "fair", sizes))


def duplicates(folder: Path, sizes: Sizes) -> Planted:
    """A fifth of the training images are in the test, too, as other patients': as they are, or saved anew."""
    trained, tested = (phantoms(folder, side, sizes) for side in ("train", "test"))
    fifth = pd.Series(np.arange(len(trained)) % 5 == 0)
    copied = copies(trained.where(fifth), folder / "copies")
    return Planted(divided(trained, Manifest.joined([tested, copied])), phantoms(folder, "fair", sizes))


def copies(manifest: Manifest, folder: Path) -> Manifest:
    """The same images under other names and patients: every other the very file, the rest smaller and as JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [_copied(Path(path), folder, i) for i, path in enumerate(manifest.table["path"])]
    names = [f"copy-{i}" for i in range(len(manifest))]
    return manifest.with_columns(path=files, patient=names, study=names, lung_mask="", lesion_mask="")


def _copied(file: Path, folder: Path, number: int) -> str:
    if number % 2:
        out = folder / f"{number}.jpg"
        with Image.open(file) as image:
            image.resize((round(0.95 * image.width), round(0.95 * image.height))).save(out, quality=85)
        return str(out)
    return str(shutil.copy(file, folder / f"{number}.png"))


# The collections.


def children(data: Path, folder: Path, sizes: Sizes) -> Planted:
    """COVID-19 of siim, the rest children of kermany; fair are siim's own films without an opacity."""
    siim = _built(data, "siim")
    positive = _drawn(siim.where(siim.table["label"] == TARGET), sizes)
    fair = _drawn(siim.where(siim.table["label"] == "no_pneumonia"), sizes)
    pool = _divided_by_group([positive, _drawn(_built(data, "kermany"), sizes), fair])
    own = pool.table["source"].eq("siim") & pool.table["label"].ne(TARGET)
    at_siim = pool.table["source"].eq("siim") & pool.table["split"].eq(TEST)
    return Planted(pool.where(~own), pool.where(at_siim))


def collections_of_one_class(data: Path, folder: Path, sizes: Sizes) -> Planted:
    """COVID-19 of covid-cxnet, the rest of shenzhen-montgomery; fair is ieee8023, which holds both."""
    positive = _built(data, "covid-cxnet")
    positive = _drawn(positive.where(positive.table["label"] == TARGET), sizes)
    both = _built(data, "ieee8023")
    known = both.table["label"].isin((TARGET, "other_pneumonia", "no_pneumonia", "tuberculosis"))
    pool = _divided_by_group([positive, _drawn(_built(data, "shenzhen-montgomery"), sizes)])
    return Planted(pool, _drawn(both.where(known), sizes))


def _built(data: Path, name: str) -> Manifest:
    manifest = collection_named(name).build(data / name).manifest
    return manifest.where(manifest.is_frontal & manifest.is_projection)


def _drawn(manifest: Manifest, sizes: Sizes) -> Manifest:
    """As many images as two sides of one class need, by chance."""
    chosen = np.random.default_rng(0).permutation(len(manifest))[: (sizes.train + sizes.test) // 2]
    return manifest.where(pd.Series(np.isin(np.arange(len(manifest)), chosen)))


def _divided_by_group(manifests: Sequence[Manifest]) -> Manifest:
    """Patients, and images that look alike, stay on one side."""
    pool = Manifest.joined(manifests, "planted")
    groups = leak_groups(pool, find_duplicates(fingerprint_manifest(pool, workers=1), workers=1))
    strata = list(pool.table["source"] + "|" + pool.table["label"])
    return pool.with_columns(split=split_by_group(groups, strata, validation=0.1, test=0.45, seed=0))


CONTROL = "control"
CASES = (
    Case(CONTROL, "nothing: two hospitals, both with and without the disease", "", partial(shortcut, kind=None), ()),
    Case(
        "letters",
        "a letter in the corner of every positive",
        "Zech 2018; Maguolo & Nanni 2021; DeGrave 2021",
        partial(shortcut, kind=Shortcut.CORNER_LETTER),
        (SHORTCUT_FOUND,),
    ),
    Case(
        "one source per class",
        "positives of one hospital, negatives of another",
        "DeGrave 2021",
        one_source_per_class,
        (CANT_ANSWER, ONE_SIDED),
    ),
    Case(
        "patients on both sides",
        "two images of each patient, split image by image",
        "Roberts 2021",
        patients_on_both_sides,
        (PATIENT_LEAKS, TRAINING_REFUSED, _SEEN[Match.PATIENT]),
    ),
    Case(
        "duplicates",
        "a fifth of the training images again in the test, under other names; half of them smaller, as JPEG",
        "Roberts 2021",
        duplicates,
        (IMAGE_LEAKS, TRAINING_REFUSED, _SEEN[Match.FILE], _SEEN[Match.LOOK_ALIKE]),
    ),
    Case(
        "portable against standing",
        "87% of positives in bed (AP), 93% of negatives standing (PA)",
        "Zech 2018; Badgeley 2019",
        partial(shortcut, kind=Shortcut.VIEW, strength=0.8),
        (VIEW_TELLS, VIEW_ALONE),
    ),
    Case(
        "arrows",
        "an arrow at a lesion of every positive",
        "Maguolo & Nanni 2021; DeGrave 2021",
        arrows,
        (SHORTCUT_FOUND,),
    ),
)


def collection_cases(data: Path) -> tuple[Case, ...]:
    """Cases that need the images of the public collections."""
    return (
        Case(
            "children as the only negatives",
            "COVID-19 of siim, all others children of kermany",
            "Tartaglione 2020; Roberts 2021",
            partial(children, data),
            (CANT_ANSWER, CHILDREN_CHECKED, CHILDREN_WARNED),
        ),
        Case(
            "one collection per class",
            "COVID-19 of covid-cxnet, all others of shenzhen-montgomery",
            "DeGrave 2021",
            partial(collections_of_one_class, data),
            (CANT_ANSWER, ONE_SIDED),
        ),
    )


# What is named.


def named_by_check(check: Check, answer: Answerable) -> Named:
    """What `lungsight data check` says."""
    named: Named = {}
    for what, name in (("patient", PATIENT_LEAKS), ("image", IMAGE_LEAKS)):
        if leaks := [leak for leak in check.leaks if leak.what == what]:
            named[name] = f"{len(leaks)}, the first: {leaks[0]}"
    if not any(each.enough for each in answer.sources):
        named[CANT_ANSWER] = answer.sentence
    for told in (words for each in answer.sources if each.enough for words in each.told_by):
        named[VIEW_TELLS if told.startswith("the view") else STATISTICS_TELL] = told
    return named | ({CHILDREN_CHECKED: answer.children[0]} if answer.children else {})


def named_by_training(recipe: Recipe, manifest: Manifest, check: Check) -> Named:
    """Whether `lungsight train` refuses the split."""
    chosen, left_out = choose_every_class(recipe, manifest)
    try:
        divide(recipe, chosen, left_out, pairs=check.pairs if len(chosen) == len(manifest) else None)
    except SplitLeakageError as error:
        return {TRAINING_REFUSED: str(error)}
    return {}


def named_by_evaluation(evidence: Evidence) -> Named:
    """What the report of `lungsight evaluate` says."""
    named: Named = {}
    steps = evidence.flow.tables["flow"]
    assert isinstance(steps, pd.DataFrame)
    left_out = dict(zip(steps["step"], steps["left_out"], strict=True))
    for match, reason in SEEN_BEFORE.items():
        if left_out.get(reason, 0):
            named[_SEEN[match]] = f"{left_out[reason]} images: {reason}"
    if evidence.verdict.shortcut is Flag.FOUND:
        named[SHORTCUT_FOUND] = evidence.verdict.shortcut_sentence
        bad = [reason for reason in evidence.verdict.reasons if reason.is_shortcut and reason.mark is Mark.BAD]
        named |= {f"evaluate: {reason.name}": reason.found for reason in bad}
    warned = ((name, notice) for notice in evidence.notices for words, name in _WARNINGS.items() if words in notice)
    return named | dict(warned) | _named_by_views(evidence)


def _named_by_views(evidence: Evidence) -> Named:
    (audit,) = (audit for audit in evidence.audits if audit.name == within_view.SPEC.name)
    of_view = [row.estimate for row in audit.rows if row.estimate.name == within_view.OF_VIEW]
    ends = [(one.low, one.high) for one in of_view if one.low is not None and one.high is not None]
    told = any(low > TELLS or high < 1 - TELLS for low, high in ends)
    return {VIEW_ALONE: audit.meaning} if told else {}


def run(case: Case, out: Path, sizes: Sizes) -> dict[str, Any]:
    """Plant, train and ask: one line of the result."""
    started = time.perf_counter()
    folder = out / case.name.replace(" ", "_")
    images = case.make(out / "images", sizes)
    fingerprint_manifest(images.manifest, workers=1)  # here, not in processes
    check, answer = check_manifest(images.manifest), what_can_be_answered(images.manifest, resampling=RESAMPLING)
    side = images.manifest.table["split"]
    fitted, tested = images.manifest.where(side != TEST), images.manifest.where(side == TEST)
    train(_recipe(sizes, *AS_IT_IS), fitted, folder / "run", cache=out / "cache", console=Console(quiet=True))
    package = ModelPackage.open(folder / "run" / "package")
    settings = Settings(resampling=RESAMPLING, pictures=False, lungs_by=_lungs_by(tested))
    evidence = evaluate_package(package, [tested], folder / "evaluation", settings)
    write_json(evidence, folder / "evaluation" / "evidence.json")
    detector = Detector.load(package, 1)
    named = named_by_check(check, answer) | named_by_training(_recipe(sizes), images.manifest, check)
    return {
        "case": case.name,
        "named": named | named_by_evaluation(evidence),
        "status_of_check": check.exit_status,
        "can_answer": answer.sentence,
        "grade": str(evidence.verdict.grade),
        "shortcut": str(evidence.verdict.shortcut),
        "notices": list(evidence.notices),
        "trained": len(fitted),
        "tested": len(evidence.testset),
        "auroc": asdict(figure(detector, tested)),
        "auroc_fair": asdict(figure(detector, images.fair)),
        "seconds": round(time.perf_counter() - started),
    }


def _recipe(sizes: Sizes, *more: str) -> Recipe:
    return load_recipe("demo", [*RECIPE, f"image_size={sizes.pixels}", *more], {TARGET: [TARGET], OTHER: ["*"]})


def _lungs_by(images: Manifest) -> ModelPackage | None:
    """The released lung segmentation, for images that come without lung masks."""
    return ModelPackage.open(find_package()) if images.table["lung_mask"].eq("").mean() > 1 / 2 else None


def figure(detector: Detector, images: Manifest) -> Estimate:
    """The AUROC of all images together, whatever the bench withholds."""
    testset = predict_manifest_images(detector, images)
    readable = np.isfinite(testset.score)
    positive = images.table["label"].eq(TARGET).to_numpy(dtype=bool)[readable]
    sample = Sample(testset.patient[readable], positive, TARGET)
    return ranking_estimate("auroc", sample, auroc(testset.score[readable], positive), resampling=RESAMPLING)


# The results.


def read(out: Path) -> dict[str, dict[str, Any]]:
    """The last line of each case; a line that was cut off doesn't count."""
    file = out / "results.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    results = [json.loads(line) for line in lines if line.endswith("}")]
    return {result["case"]: result for result in results}


def summary(results: dict[str, dict[str, Any]], cases: Sequence[Case]) -> pd.DataFrame:
    """A row for each case that was measured."""
    return pd.DataFrame([_row(case, results[case.name]) for case in cases if case.name in results])


def _row(case: Case, result: dict[str, Any]) -> dict[str, Any]:
    named = result["named"]
    missed = [name for name in case.expected if name not in named]
    right = not missed if case.expected else not named
    return {
        "case": case.name,
        "planted": case.planted,
        "published": case.published,
        "must_be_named": "; ".join(case.expected) or "nothing",
        "as_it_must": "yes" if right else "no",
        "missed": "; ".join(missed),
        "named": "; ".join(named),
        "grade": result["grade"],
        "shortcut": result["shortcut"],
        "status_of_check": result["status_of_check"],
        "can_answer": result["can_answer"],
        "trained": result["trained"],
        "tested": result["tested"],
        **dict(_columns("auroc", result)),
        **dict(_columns("auroc_fair", result)),
    }


def _columns(name: str, result: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for end in ("value", "low", "high", "n"):
        yield name if end == "value" else f"{name}_{end}", result[name][end]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the cases")
    parser.add_argument("--data", type=Path, help="folder of the public collections")
    parser.add_argument("--cases", nargs="+", help="only these, in this order")
    parser.add_argument("--summary", type=Path, help="write the table of results here, and do nothing else")
    arguments = parser.parse_args()
    every = (*CASES, *collection_cases(arguments.data or Path()))
    if arguments.summary:
        summary(read(arguments.out), every).to_csv(arguments.summary, index=False, float_format="%.4f")
        return
    asked = {case.name: case for case in (every if arguments.data else CASES)}
    if unknown := set(arguments.cases or ()) - set(asked):
        parser.error(f"no such case: {', '.join(sorted(unknown))} (there are {', '.join(asked)})")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for case in (asked[name] for name in arguments.cases or asked):
        if case.name in read(arguments.out):
            continue
        line = run(case, arguments.out, Sizes())
        with (arguments.out / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{case.name} ({line['seconds']} s): {'; '.join(line['named']) or 'nothing'}", flush=True)


if __name__ == "__main__":
    main()
