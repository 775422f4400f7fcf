"""How often the 95% intervals hold the truth: studies are simulated, and their intervals counted.

    python benchmarks/quality/interval_coverage.py --out runs/coverage --simulations 1000
    python benchmarks/quality/interval_coverage.py --out runs/coverage --report docs/results

Two models (one middling, one strong), patients with one image or with one to three that resemble each other, and
100, 300 or 1,000 patients. The truth is known from a very large sample. Simulation ``i`` of a setting has seed ``i``;
what is done is kept, so a call that was stopped is taken up again, and one with more simulations adds to it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import Resampling, means
from lungsight.statistics.calibration_metrics import bins_of, calibration_estimates
from lungsight.statistics.delong import auroc_estimate
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.metrics import estimate_all, figures
from lungsight.statistics.outcomes import Floats, Integers, Outcomes
from lungsight.statistics.paired import paired_differences
from lungsight.statistics.stratified import gap_within, parts_of
from lungsight.statistics.within import pooled_and_within

TARGET = "covid19"
METRICS = {
    "accuracy": ALL_CLASSES,
    "balanced_accuracy": ALL_CLASSES,
    "mcc": ALL_CLASSES,
    "sensitivity": TARGET,
    "specificity": TARGET,
    "ppv": TARGET,
    "auroc": TARGET,
    "auroc_delong": TARGET,
    "average_precision": TARGET,
    "brier_score": TARGET,
    "auroc_within_source": TARGET,
    "auroc_difference": TARGET,
    "sensitivity_difference": TARGET,
    "brier_score_difference": TARGET,
    "auroc_gap": TARGET,
    "sensitivity_gap": TARGET,
    "mean_probability_of_the_ill": TARGET,
    "calibration_intercept": TARGET,
    "calibration_slope": TARGET,
    "ece": TARGET,
}
#: Of two models on the same images, the second a little worse.
DIFFERENCES = ("auroc", "sensitivity", "brier_score")
#: Of two parts of the patients, within two sources.
GAPS = ("auroc", "sensitivity")
SEPARATION = {"middling": 1.5, "strong": 3.0}
IMAGES_EACH = {"1": (1, 1), "1-3": (1, 3)}
PATIENTS = (100, 300, 1000)
PREVALENCE, WITHIN_PATIENT = 0.4, 0.5
REPLICATES = 500  # of 2,000 in a report: fewer cover a little less, never more
AT_ONCE = 25
#: Coverage that is aimed for.
AIM = (0.93, 0.97)


@dataclass(frozen=True)
class Setting:
    """How a study is simulated."""

    model: str
    images_each: str
    patients: int

    def study(self, seed: int, patients: int | None = None) -> tuple[Outcomes, Outcomes]:
        """Two classes, ``PREVALENCE`` of the patients ill; images of a patient share half of the score's variance.

        The predictions of the model, and those of one that separates the classes less."""
        patients = patients or self.patients
        key = [seed, list(SEPARATION).index(self.model), list(IMAGES_EACH).index(self.images_each), patients]
        rng = np.random.default_rng(key)
        fewest, most = IMAGES_EACH[self.images_each]
        patient = np.repeat(np.arange(patients), rng.integers(fewest, most + 1, size=patients))
        truth = (rng.random(patients) < PREVALENCE)[patient].astype(np.int64)
        shared = np.sqrt(WITHIN_PATIENT) * rng.normal(size=patients)[patient]
        noise = shared + np.sqrt(1 - WITHIN_PATIENT) * rng.normal(size=len(patient))
        others = 0.8 * noise + 0.6 * rng.normal(size=len(patient))
        return self._outcomes(truth, noise, patient), self._outcomes(truth, others, patient, less=0.4)

    def _outcomes(self, truth: Integers, noise: Floats, patient: Integers, less: float = 0.0) -> Outcomes:
        separation = SEPARATION[self.model] - less
        score = 1 / (1 + np.exp(-1.5 * (separation * (truth - 0.5) + noise) + 0.4))
        return Outcomes(("other", TARGET), truth, np.stack([1 - score, score], axis=1), patient)

    def truth(self) -> dict[str, float]:
        """Each figure in eight samples of 150,000 patients, on average; the slope is known, and the gaps are 0."""
        found = []
        for seed in range(8):
            large, rival = self.study(10**6 + seed, patients=150_000)
            once = np.ones((1, len(large)))
            values, others = figures(large)(once), figures(rival)(once)
            found.append(
                {name: float(values[METRICS[name], name][0]) for name in METRICS if (METRICS[name], name) in values}
                | {
                    f"{name}_difference": float((values[TARGET, name] - others[TARGET, name])[0])
                    for name in DIFFERENCES
                }
                | _calibration_of(large)
            )
        true = pd.DataFrame(found).mean().to_dict()
        same = {"auroc_delong": true["auroc"], "auroc_within_source": true["auroc"]}
        return (
            true | same | {f"{name}_gap": 0.0 for name in GAPS} | {"calibration_slope": SEPARATION[self.model] / 1.5}
        )


def _calibration_of(large: Outcomes) -> dict[str, float]:
    ill, probability = large.truth == 1, large.probabilities[:, 1]
    bins = pd.DataFrame({"p": probability, "ill": ill}).groupby(bins_of(probability)).mean()
    intercept = brentq(lambda a: float(np.mean(expit(logit(probability) + a)) - ill.mean()), -5, 5)
    return {
        "mean_probability_of_the_ill": float(probability[ill].mean()),
        "calibration_intercept": float(intercept),
        "ece": float((bins["p"] - bins["ill"]).abs().mean()),  # bins of equal mass
    }


def estimates(outcomes: Outcomes, rival: Outcomes, resampling: Resampling) -> Iterator[Estimate]:
    """Every kind of figure that a report gives an interval for."""
    yield from estimate_all(outcomes, resampling)
    yield auroc_estimate(outcomes, TARGET)
    wanted = [(name, TARGET) for name in DIFFERENCES]
    yield from (paired.difference for paired in paired_differences(outcomes, rival, wanted, resampling))
    source = np.array(["north", "south"])[outcomes.patient % 2]
    yield pooled_and_within(outcomes, TARGET, source, "source", "groups", resampling).within
    yield from _gaps(outcomes, source, resampling)
    sample = Binary.of(outcomes, TARGET)
    probability = np.where(sample.positive, sample.probability, np.nan)
    yield from means(sample, probability[:, None], ["mean_probability_of_the_ill"], resampling=resampling)
    yield from (e for e in calibration_estimates(sample, resampling) if e.name != "brier_score")


def _gaps(outcomes: Outcomes, source: NDArray[np.str_], resampling: Resampling) -> Iterator[Estimate]:
    """Between two parts of the patients, each source by itself."""
    pairs = []
    for turned, name in enumerate(("north", "south")):
        here = outcomes.where(source == name)
        part = outcomes.patient[source == name] // 2 % 3 == 0
        one, rest = parts_of(here, TARGET, [part, ~part], resampling, turned=turned * resampling.replicates // 2)
        pairs.append((one, rest))
    for name in GAPS:
        yield replace(gap_within(pairs, name).estimate, name=f"{name}_gap")


def simulate(setting: Setting, truth: Mapping[str, float], seeds: range) -> dict[str, list[float]]:
    """Of each metric: intervals given, those that hold the truth, those above it, those below it, sum of widths."""
    counts = {name: [0, 0, 0, 0, 0.0] for name in METRICS}
    for seed in seeds:
        resampling = Resampling(replicates=REPLICATES, seed=seed)
        for estimate in _wanted(estimates(*setting.study(seed), resampling)):
            if estimate.low is None or estimate.high is None:
                continue
            true = truth[estimate.name]
            hit = [1, estimate.low <= true <= estimate.high, estimate.low > true, estimate.high < true]
            width = estimate.high - estimate.low
            counts[estimate.name] = [c + float(x) for c, x in zip(counts[estimate.name], [*hit, width], strict=True)]
    return counts


def _wanted(estimates: Iterable[Estimate]) -> Iterator[Estimate]:
    return (e for e in estimates if METRICS.get(e.name) == e.scope)


def run(out: Path, simulations: int, numbers: Sequence[int] = PATIENTS) -> None:
    """The smallest studies first, and in rounds, so that a run that is stopped has done as many of each model."""
    out.mkdir(parents=True, exist_ok=True)
    kept, truths = out / "simulations.jsonl", out / "truth.json"
    settings = [Setting(*chosen) for chosen in product(SEPARATION, IMAGES_EACH, PATIENTS)]
    truth = json.loads(truths.read_text()) if truths.exists() else {}
    done = {(row["setting"]["model"], row["setting"]["images_each"], row["setting"]["patients"], row["first"])
            for row in _rows(kept)}  # fmt: skip
    for patients in numbers:
        for first, setting in product(range(0, simulations, AT_ONCE), settings):
            if setting.patients != patients or (*asdict(setting).values(), first) in done:
                continue
            name = f"{setting.model}/{setting.images_each}"
            if name not in truth:
                truth[name] = setting.truth()
                truths.write_text(json.dumps(truth, indent=1))
            counts = simulate(setting, truth[name], range(first, first + AT_ONCE))
            with kept.open("a") as file:
                file.write("\n" + json.dumps({"setting": asdict(setting), "first": first, "counts": counts}))
        print(f"{patients} patients: {simulations} simulations of each setting", flush=True)


def _rows(kept: Path) -> Iterator[dict]:
    """What is done; a line cut short by a kill is passed over."""
    for line in kept.read_text().splitlines() if kept.exists() else []:
        with suppress(json.JSONDecodeError):
            yield json.loads(line)


def coverage_table(out: Path) -> pd.DataFrame:
    """One row per setting and metric."""
    truth = json.loads((out / "truth.json").read_text())
    rows = pd.DataFrame(
        {**row["setting"], "metric": metric, "simulations": AT_ONCE}
        | dict(zip(("given", "covered", "all_above", "all_below", "width"), counts, strict=True))
        for row in _rows(out / "simulations.jsonl")
        for metric, counts in row["counts"].items()
    )
    table = rows.groupby(["model", "images_each", "patients", "metric"], sort=False).sum().reset_index()
    given = table["given"].clip(lower=1)
    names = table["model"] + "/" + table["images_each"]
    return pd.DataFrame(
        {
            **{c: table[c] for c in ("model", "images_each", "patients", "metric")},
            "truth": [round(truth[name][metric], 4) for name, metric in zip(names, table["metric"], strict=True)],
            "simulations": table["simulations"].astype(int),
            "no_interval": (table["simulations"] - table["given"]).astype(int),
            "coverage": (table["covered"] / given).round(4),
            "interval_all_above_truth": (table["all_above"] / given).round(4),
            "interval_all_below_truth": (table["all_below"] / given).round(4),
            "mean_width": (table["width"] / given).round(4),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps what is done")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--patients", type=int, nargs="+", default=PATIENTS, choices=PATIENTS)
    parser.add_argument("--report", type=Path, help="only write intervals.csv here and print the page's table")
    chosen = parser.parse_args()
    if not chosen.report:
        run(chosen.out, chosen.simulations, chosen.patients)
        return
    table = coverage_table(chosen.out)
    table.to_csv(chosen.report / "intervals.csv", index=False)
    print(as_markdown(table))


def as_markdown(table: pd.DataFrame) -> str:
    """Coverage in per cent, a row per model and metric, a column per images each and number of patients."""
    wide = table.pivot_table(
        index=["model", "metric"], columns=["images_each", "patients"], values="coverage", sort=False
    )
    simulations = table.groupby(["images_each", "patients"])["simulations"].min()
    heads = [f"{images}, {patients:,}" for images, patients in wide.columns]
    lines = ["| model | figure | " + " | ".join(heads) + " |", "| --- | --- |" + " --: |" * len(heads)]
    for (model, metric), row in wide.iterrows():
        cells = [_cell(value, simulations[column]) for column, value in row.items()]
        lines.append(f"| {model} | {metric.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(coverage: float, simulations: int) -> str:
    """Bold where it lies outside of the aim by more than one standard error of 95%."""
    error = np.sqrt(0.95 * 0.05 / simulations)
    outside = coverage < AIM[0] - error or coverage > AIM[1] + error
    return f"**{coverage:.1%}**" if outside else f"{coverage:.1%}"


if __name__ == "__main__":
    main()
