"""How often do the audits find a shortcut that is there, and one that isn't?

On phantoms the truth is known. For each seed a small network is trained from random weights on phantoms without a
shortcut, or with one planted at a chosen strength, and tested on other patients of the same two hospitals with the
same shortcut: the hardest case, since no other hospital gives it away. `auroc_broken` is the truth about a network:
its AUROC on the same patients when the shortcut tells nothing. Training and testing are two steps; the package of
every network is kept, so that other rules can be tested on it. Either step goes on where it was cut off; each network
tested is a line of results.jsonl.

The sources' names are tested along with it: at one hospital half of the patients get another name, and the audit is
to count the two as one source, the other hospital as another, and what was trained on as internal.

    python benchmarks/quality/shortcut_audits.py --out study            # train: half a minute a network on one core
    python benchmarks/quality/shortcut_audits.py --out study --test          # test what is trained
    python benchmarks/quality/shortcut_audits.py --out study --summary docs/results/audits.csv
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from scipy.stats import binomtest

from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import Label, Shortcut, write_collection
from lungsight.datasets.phantom.shortcuts import is_planted
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.audits import image_statistics_only, nuisance_edits, occlusion, source_identity
from lungsight.evaluation.audits.audit import Audit, AuditInput
from lungsight.evaluation.audits.perturbed_predictions import planned
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, TestSet
from lungsight.inference import Detector
from lungsight.package import ModelPackage
from lungsight.statistics.bootstrap import Resampling, Sample
from lungsight.statistics.outcomes import TRUTH, Mask
from lungsight.statistics.ranking import auroc, ranking_estimate
from lungsight.training.recipe import load_recipe
from lungsight.training.run import train

#: Small enough that hundreds of networks are trained in an afternoon, large enough that they learn the disease.
SIZE = 128
PATIENTS = {"train": 260, "test": 400}
RECIPE = (
    "name=phantom-study",
    "backbone=test_resnet",
    "weights=random",
    f"image_size={SIZE}",
    "batch_size=16",
    "split.validation=0.1",
    "split.test=0",
    "keep=last",
    "checkpoint_seconds=3600",
    "sampling.balance=[]",
    "augmentation={flip=0, rotate=0, zoom=0, warp=0, lighting=0, noise=0.02, probability=0.5}",
    "stages=[{epochs=9, lr=3e-3}]",
)
RESAMPLING = Resampling(replicates=1000)
NONE = "none"
SHORTCUTS = (NONE, *(kind.value for kind in Shortcut))


#: Enough that the absence of a shortcut can be shown.
AUDIT_IMAGES = 400
#: The audits that are asked of every network.
ASKED = (
    occlusion.LUNGS_HIDDEN,
    occlusion.ONLY_BORDER,
    occlusion.ONLY_LUNGS,
    nuisance_edits.SPEC,
    image_statistics_only.SPEC,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One network of the study."""

    seed: int
    shortcut: str
    strength: float

    @property
    def name(self) -> str:
        return f"{self.seed:03d}-{self.shortcut}-{self.strength:g}"


def conditions(seeds: range, weak_seeds: int, shortcuts: Sequence[str], in_turn: bool = False) -> Iterator[Condition]:
    """Seed by seed, so that a study that is cut off is balanced; with ``in_turn`` one shortcut a seed, and none."""
    planted = [shortcut for shortcut in shortcuts if shortcut != NONE]
    for number, seed in enumerate(seeds):
        for shortcut in (NONE, planted[number % len(planted)]) if in_turn else shortcuts:
            yield Condition(seed, shortcut, float(shortcut != NONE))
            for strength in (0.8, 0.5) if shortcut != NONE and number < weak_seeds else ():
                yield Condition(seed, shortcut, strength)


def train_network(condition: Condition, out: Path) -> None:
    """Draw the phantoms and train on them; the run's folder keeps the package."""
    phantoms = _collection(condition, "train", out)
    fingerprint_manifest(phantoms, workers=1)  # here, not in processes of the training
    recipe = load_recipe("demo", [*RECIPE, f"seed={condition.seed}"])
    train(recipe, phantoms, _folder(condition, out), cache=out / "cache", console=Console(quiet=True))


def test_network(condition: Condition, out: Path) -> dict[str, Any]:
    """Test a trained network: one line of the result."""
    package = ModelPackage.open(_folder(condition, out) / "package")
    detector = Detector.load(package, 1, features=True)
    perturbations = [audit.perturbations for audit in ASKED if audit.perturbations]
    phantoms = _collection(condition, "test", out)
    images = phantoms.with_columns(**{KIND: INTERNAL, TRUTH: _truth(phantoms, detector)})
    plan = planned(perturbations, images, detector.description.classes, detector.description.target, AUDIT_IMAGES)
    store = AnswerStore.in_memory()
    testset = predict_manifest_images(detector, images, store=store, alterations=plan)
    given = AuditInput(
        testset, RESAMPLING, detector, AUDIT_IMAGES, store, trained=package.trained_on, illustrate=False
    )
    audits = [audit.audit(given) for audit in ASKED]
    broken = predict_manifest_images(detector, _collection(replace(condition, strength=0.0), "test", out))
    return {
        **asdict(condition),
        "auroc": _auroc(testset, testset.positive),
        "auroc_broken": _auroc(broken, broken.table["label"].eq(broken.target).to_numpy(dtype=bool)),
        "audits": {audit.name: _result(audit) for audit in audits},
        "names": _names(given) if condition.shortcut == NONE else {},
    }


def _truth(phantoms: Manifest, detector: Detector) -> list[str]:
    classes = detector.description.classes
    return [label if label in classes else classes[-1] for label in phantoms.table["label"]]


def _auroc(testset: TestSet, positive: Mask) -> float | None:
    sample = Sample(testset.patient, positive, testset.target)
    return ranking_estimate("auroc", sample, auroc(testset.score, positive), resampling=RESAMPLING).value


def _result(audit: Audit) -> dict[str, Any]:
    """The result, and every figure that a rule could look at."""
    figures = [
        {**row.labels, "metric": row.estimate.name, "value": row.estimate.value, "low": row.estimate.low}
        | {"high": row.estimate.high, "n": row.estimate.n}
        for row in audit.rows
    ]
    return {"call": str(audit.call), "meaning": audit.meaning, "figures": figures}


def _names(given: AuditInput) -> dict[str, list[float | None]]:
    """AUROCs with their intervals: of two names of one hospital, of two hospitals, of a name and the training's."""
    table = given.testset.table
    one, other = sorted(set(table["source"]))
    half = np.random.default_rng(0).permutation(len(table)) % 2
    names = np.where(table["source"] == one, np.where(half, "A", "B"), "C")
    renamed = given.testset.with_columns(source=names, **{KIND: EXTERNAL})
    audit = source_identity.SPEC.audit(replace(given, testset=renamed, asked={}))
    figures = {(str(row.labels["source"]), str(row.labels["other"])): row.estimate for row in audit.rows}
    pairs = {
        "two names of one hospital": ("B", "A"),
        "two hospitals": ("C", "A"),
        "a name and its hospital in training": ("A", one),
        "a name and the other hospital in training": ("A", other),
    }
    return {words: [getattr(figures[pair], end) for end in ("value", "low", "high")] for words, pair in pairs.items()}


def _folder(condition: Condition, out: Path) -> Path:
    return out / "runs" / condition.name


def is_trained(condition: Condition, out: Path) -> bool:
    return (_folder(condition, out) / "package" / "package.json").is_file()


def _collection(condition: Condition, side: str, out: Path) -> Manifest:
    """Phantoms of a condition. What another condition of the seed has drawn alike is linked, not drawn again."""
    seed = 2 * condition.seed + (side == "test")
    shortcut = None if condition.shortcut == NONE else Shortcut(condition.shortcut)
    folder = out / "phantoms" / f"{seed:03d}-{side}" / f"{condition.shortcut}-{condition.strength:g}"
    for sibling in sorted(folder.parent.glob("*/manifest.csv")) if folder.parent.is_dir() else ():
        if (shortcut is Shortcut.VIEW) == sibling.parent.name.startswith(Shortcut.VIEW):  # its other images are PA
            _link_alike(sibling, folder, shortcut, condition.strength, seed)
    return write_collection(
        folder, patients=PATIENTS[side], seed=seed, size=SIZE, shortcut=shortcut, strength=condition.strength,
        images_per_patient=(1, 1), workers=1,
    )  # fmt: skip


def _link_alike(sibling: Path, folder: Path, shortcut: Shortcut | None, strength: float, seed: int) -> None:
    for row in pd.read_csv(sibling, keep_default_na=False).to_dict("records"):
        index = int(str(row["patient"]).rpartition("-")[2])
        planted = shortcut is not None and is_planted(Label(row["label"]), strength, seed, index, 0)
        if row["shortcut"] != (shortcut.value if planted and shortcut else ""):
            continue
        for file in (row["lung_mask"], row["lesion_mask"], row["path"]):
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                os.link(sibling.parent / file, target)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """One row per hundred of seeds, condition and audit: of how many networks each result was reported, with Clopper
    and Pearson's interval of those where the shortcut was found; and how often names of sources were told apart."""
    rows = []
    results = results.drop_duplicates(["seed", "shortcut", "strength"], keep="last").sort_values(
        "seed", kind="stable"
    )
    for (_, kind, strength), group in results.groupby([results["seed"] // 100, "shortcut", "strength"], sort=False):
        labels = {
            "seeds": f"{group['seed'].min()}-{group['seed'].max()}", "shortcut": kind, "strength": strength,
            "networks": len(group), "median_auroc": group["auroc"].median(),
            "median_auroc_broken": group["auroc_broken"].median(),
        }  # fmt: skip
        calls = {name: group["audits"].map(lambda a, n=name: a[n]["call"]) for name in group["audits"].iloc[0]}
        every = pd.DataFrame(
            {name: calls[name] for name in calls if next(s for s in ASKED if s.name == name).calls_shortcut}
        )
        found, missing = (every == "found").any(axis=1), (every == "not found").all(axis=1)
        calls["any of them"] = pd.Series(np.where(found, "found", np.where(missing, "not found", "not shown")))
        for name, called in calls.items():
            counts = {call: int((called == call).sum()) for call in ("found", "not found", "not shown", "not done")}
            rows.append({**labels, "by": name, **counts, **_interval(counts["found"], len(called))})
        told = [one for one in group["names"] if one]
        for name in told[0] if told else ():
            apart = sum(one[name][1] is not None and one[name][1] > source_identity.DIFFERENT for one in told)
            rows.append({**labels, "by": f"names: {name}", "found": apart, **_interval(apart, len(told))})
    return pd.DataFrame(rows)


def _interval(found: int, n: int) -> dict[str, float]:
    interval = binomtest(found, n).proportion_ci(method="exact")
    return {"low": interval.low, "high": interval.high}


def read(out: Path) -> pd.DataFrame:
    lines = (out / "results.jsonl").read_text("utf-8").splitlines() if (out / "results.jsonl").is_file() else []
    return pd.DataFrame([json.loads(line) for line in lines if line.endswith("}")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the study")
    parser.add_argument("--seeds", type=int, default=40, help="without a shortcut, and with a full one of each kind")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--weak-seeds", type=int, default=10, help="at strengths 0.5 and 0.8")
    parser.add_argument("--shortcuts", nargs="+", default=SHORTCUTS, choices=SHORTCUTS)
    parser.add_argument("--in-turn", action="store_true", help="each seed without, and with one of them in turn")
    parser.add_argument("--part", default="0/1", help="I/N: every N-th seed from the I-th, for several processes")
    parser.add_argument("--test", action="store_true", help="test the networks that are trained, and train none")
    parser.add_argument("--summary", type=Path, help="write the table of results here, and do nothing else")
    arguments = parser.parse_args()
    if arguments.summary:
        summary(read(arguments.out)).to_csv(arguments.summary, index=False, float_format="%.4f")
        return
    part, parts = map(int, arguments.part.split("/"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for condition in conditions(seeds, arguments.weak_seeds, arguments.shortcuts, arguments.in_turn):
        if condition.seed % parts != part or is_trained(condition, arguments.out) != arguments.test:
            continue
        started = time.perf_counter()
        if not arguments.test:
            train_network(condition, arguments.out)
            print(f"{condition.name} trained ({time.perf_counter() - started:.0f} s)", flush=True)
        elif not _is_tested(condition, read(arguments.out)):
            line = test_network(condition, arguments.out)
            with (arguments.out / "results.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            calls = ", ".join(f"{name}: {one['call']}" for name, one in line["audits"].items())
            print(
                f"{condition.name} AUROC {line['auroc']:.3f} ({line['auroc_broken']:.3f} broken): {calls}", flush=True
            )


def _is_tested(condition: Condition, done: pd.DataFrame) -> bool:
    if not len(done):
        return False
    same = (done["seed"] == condition.seed) & (done["shortcut"] == condition.shortcut)
    return bool((same & (done["strength"] == condition.strength)).any())


if __name__ == "__main__":
    main()
