"""How often do the audits and the verdict call a shortcut that is there, and one that isn't?

On phantoms the truth is known. For each seed a small network is trained from random weights on phantoms without a
shortcut, or with one planted at a chosen strength, and tested on other patients of the same two hospitals with the
same shortcut: the hardest case, since no other hospital gives it away. `auroc_broken` is the truth about a network:
its AUROC on the same patients when the shortcut tells nothing. A run that was cut off goes on; each result is a line
of results.jsonl.

    python benchmarks/quality/shortcut_audits.py --out study                 # the whole study: two hours on one core
    python benchmarks/quality/shortcut_audits.py --out study --first-seed 100 --shortcuts none
    python benchmarks/quality/shortcut_audits.py --out study --summary docs/results/audits.csv
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from scipy.stats import binomtest

from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import Label, Shortcut, write_collection
from lungsight.datasets.phantom.shortcuts import is_planted
from lungsight.evaluation.audits import image_statistics_only, nuisance_edits, occlusion
from lungsight.evaluation.audits.audit import Audit, AuditInput
from lungsight.evaluation.grade import GradeStatement, Mark, decide
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import INTERNAL, KIND, TestSet
from lungsight.inference import Detector
from lungsight.statistics.bootstrap import Resampling, Sample
from lungsight.statistics.outcomes import TRUTH
from lungsight.statistics.ranking import auroc, ranking_estimate
from lungsight.training.recipe import load_recipe
from lungsight.training.run import train

#: Small enough that hundreds of networks are trained in an afternoon, large enough that they learn the disease.
SIZE = 128
PATIENTS = {"train": 260, "test": 200}
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


def conditions(seeds: range, weak_seeds: int, shortcuts: Sequence[str]) -> Iterator[Condition]:
    """Seed by seed, so that a study that is cut off is balanced."""
    for number, seed in enumerate(seeds):
        for shortcut in shortcuts:
            yield Condition(seed, shortcut, float(shortcut != NONE))
            for strength in (0.8, 0.5) if shortcut != NONE and number < weak_seeds else ():
                yield Condition(seed, shortcut, strength)


def run(condition: Condition, out: Path) -> dict[str, Any]:
    """Draw, train, test: one line of the result."""
    started = time.perf_counter()
    data = {side: _collection(condition, side, out) for side in PATIENTS}
    fingerprint_manifest(data["train"], workers=1)  # here, not in processes of the training
    drawn = time.perf_counter()
    folder = out / "runs" / condition.name
    recipe = load_recipe("demo", [*RECIPE, f"seed={condition.seed}"])
    train(recipe, data["train"], folder, cache=out / "cache", console=Console(quiet=True))
    trained = time.perf_counter()
    detector = Detector.load(folder / "package", features=True)
    testset = predict_manifest_images(detector, data["test"])
    testset = testset.with_columns(**{KIND: INTERNAL, TRUTH: testset.table["label"]})
    given = AuditInput(testset, RESAMPLING, detector)
    audits = [audit.audit(given) for audit in ASKED]
    verdict = decide(testset, audits, RESAMPLING)
    seconds = {"drawing": drawn - started, "training": trained - drawn, "testing": time.perf_counter() - trained}
    shutil.rmtree(folder)
    broken = _auroc(detector, _collection(Condition(condition.seed, condition.shortcut, 0.0), "test", out))
    return asdict(condition) | {"auroc_broken": broken, "seconds": seconds} | _line(testset, audits, verdict)


def _auroc(detector: Detector, manifest: Manifest) -> float | None:
    testset = predict_manifest_images(detector, manifest)
    sample = Sample(testset.patient, testset.table["label"].eq(testset.target).to_numpy(), testset.target)
    return ranking_estimate("auroc", sample, auroc(testset.score, sample.positive), resampling=RESAMPLING).value


def _line(testset: TestSet, audits: list[Audit], verdict: GradeStatement) -> dict[str, Any]:
    sample = Sample(testset.patient, testset.positive, testset.target)
    return {
        "auroc": ranking_estimate(
            "auroc", sample, auroc(testset.score, sample.positive), resampling=RESAMPLING
        ).value,
        "grade": str(verdict.grade),
        "flag": str(verdict.shortcut),
        "reasons": [r.name for r in verdict.reasons if r.is_shortcut and r.mark is Mark.BAD],
        "audits": {
            audit.name: {"call": str(audit.call)}
            | ({"value": audit.effect.value, "low": audit.effect.low} if audit.effect else {})
            for audit in audits
        },
    }


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
    """One row per hundred of seeds, condition and audit: of how many networks the shortcut was called, with Clopper
    and Pearson's interval."""
    rows = []
    results = results.drop_duplicates(["seed", "shortcut", "strength"]).sort_values("seed", kind="stable")
    for (_, kind, strength), group in results.groupby([results["seed"] // 100, "shortcut", "strength"], sort=False):
        calls = {"shortcut found": group["flag"] == "found"}
        names = list(group["audits"].iloc[0])
        calls |= {name: group["audits"].map(lambda a, n=name: a[n]["call"] == "found") for name in names}
        for name, called in calls.items():
            interval = binomtest(int(called.sum()), len(called)).proportion_ci(method="exact")
            rows.append(
                {
                    "seeds": f"{group['seed'].min()}-{group['seed'].max()}",
                    "shortcut": kind,
                    "strength": strength,
                    "called_by": name,
                    "networks": len(called),
                    "called": int(called.sum()),
                    "share": called.mean(),
                    "low": interval.low,
                    "high": interval.high,
                    "median_auroc": group["auroc"].median(),
                    "median_auroc_broken": group["auroc_broken"].median(),
                }
            )
    return pd.DataFrame(rows)


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
    parser.add_argument("--part", default="0/1", help="I/N: every N-th seed from the I-th, for several processes")
    parser.add_argument("--summary", type=Path, help="write the table of calls here, and train nothing")
    arguments = parser.parse_args()
    if arguments.summary:
        summary(read(arguments.out)).to_csv(arguments.summary, index=False, float_format="%.4f")
        return
    part, parts = map(int, arguments.part.split("/"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for condition in conditions(seeds, arguments.weak_seeds, arguments.shortcuts):
        done = read(arguments.out)
        if condition.seed % parts != part or (len(done) and _is_done(condition, done)):
            continue
        line = run(condition, arguments.out)
        with (arguments.out / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        seconds = " ".join(f"{name} {value:.1f}" for name, value in line["seconds"].items())
        print(
            f"{condition.name} AUROC {line['auroc']:.3f} {line['grade']} {line['reasons']} ({seconds} s)", flush=True
        )


def _is_done(condition: Condition, done: pd.DataFrame) -> bool:
    same = (done["seed"] == condition.seed) & (done["shortcut"] == condition.shortcut)
    return bool((same & (done["strength"] == condition.strength)).any())


if __name__ == "__main__":
    main()
