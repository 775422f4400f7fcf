"""How often the view classifier is right about AP and PA, and how well the guessed view alone ranks COVID-19.

    python benchmarks/quality/view.py manifest.csv --work work/ --out docs/results/view.csv

``manifest.csv``: all collections joined, nih with its table (``lungsight data build … --nih-table``). Sources that
state both views train and test; on the others the guess is only counted, and compared with the label. No head learns
from a patient that it is asked about: the released one is asked about the package's test patients, one in five folds
about all patients, and one without each source about that source. ``work/with-view`` then holds the gate of
``--package`` with the view classifier added: ``exchange_gate.py`` puts it into the package.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from gate import with_sides_of
from lungsight._files import write_whole
from lungsight.components.view import ViewDescription
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.ood_images import Kind
from lungsight.datasets.phantom import Label, draw
from lungsight.datasets.splits import TEST, VALIDATION
from lungsight.networks.gate_network import ViewHead
from lungsight.package import ModelPackage, find_package
from lungsight.package.storage import GATE
from lungsight.radiograph import View
from lungsight.statistics.bootstrap import Resampling, Sample, Share, shares
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.ranking import auroc, ranking_estimate
from lungsight.training.gate import GateRecipe
from lungsight.training.gate.examples import Examples, gather
from lungsight.training.gate.exporting import with_view
from lungsight.training.gate.features import Encoder, group_features
from lungsight.training.gate.groups import Group, kinds_of, sides_of
from lungsight.training.gate.recipe import KEPT_SIDE
from lungsight.training.gate.view import fit_view, predict_view, stated, train_view
from lungsight.training.image_cache import default_cache_folder

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
_FOLDS = 5
_PHANTOMS = 60
_COVID, _HEALTHY = "covid19", "no_pneumonia"
_BOTH_VIEWS = {str(View.AP), str(View.AP_SUPINE)}, {str(View.PA)}
RESAMPLING = Resampling(replicates=2000)


@dataclass(frozen=True)
class Row:
    """One figure: of ``head``, for the images of ``source`` in ``among``."""

    head: str
    figure: str
    source: str
    among: str
    n: int
    patients: int
    positives: int
    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, head: str, figure: str, source: str, among: str, found: Estimate) -> Row:
        numbers = (None if v is None else round(v, 4) for v in (found.value, found.low, found.high))
        return cls(head, figure, source, among, found.n, found.patients, found.positives, *numbers)


def groups_of(manifest: Manifest) -> list[Group]:
    """All frontal images, by source: three views of each if the source states AP and PA, else the image as it is."""
    table = manifest.table.assign(key=manifest.patient_key)[kinds_of(manifest) == Kind.FRONTAL]
    found = []
    for source, rows in table.groupby("source", sort=True):
        views = 3 if all(rows["view"].isin(names).any() for names in _BOTH_VIEWS) else 1
        columns = (tuple(rows[name]) for name in ("path", "key"))
        stated_ones = (tuple(rows[name]) for name in ("view", "label"))
        found.append(Group(f"view of {source}", Kind.FRONTAL, str(source), "", *columns, views, *stated_ones))
    return found


class Study:
    """The heads and their figures."""

    def __init__(self, manifest: Manifest, package: ModelPackage, cache: Path, seed: int) -> None:
        self.package, self.seed = package, seed
        manifest = with_sides_of(package, manifest)
        side = dict(zip(manifest.patient_key, sides_of(manifest, seed), strict=True))
        self.encoder = encoder = Encoder(GateRecipe(), seed, cache)
        groups = groups_of(manifest)
        self.all = gather(
            groups,
            lambda group: group_features(group, encoder, cache, seed, print),
            lambda group, image: side[group.patients[image]] == VALIDATION,
        )
        self.known = self.all.where(stated(self.all) & np.isin(self.all.source.astype(str), _both(groups)))
        self.test = np.array([side[key] == TEST for key in self.known.patient])
        made = train_view(self.known.where(~self.test), print)
        assert made is not None
        self.made = made

    def rows(self) -> Iterator[Row]:
        yield from self._released()
        yield from self._folds()
        yield from self._without_sources()
        yield from self._elsewhere()
        yield from self._phantoms()

    def _released(self) -> Iterator[Row]:
        tested = self.known.where(self.test)
        yield from about_views("released, test patients", tested, predict_view(self.made.head, tested), self.guess)

    def _folds(self) -> Iterator[Row]:
        """Each image is predicted by a head that never saw its patient."""
        known, ap = self.known, np.full(len(self.known.ap), np.nan)
        keys = known.source + "/" + known.patient
        folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=self.seed)
        for learned, _ in folds.split(keys, known.ap, keys):
            inside = np.isin(np.arange(len(ap)), learned)
            ap[~inside] = predict_view(fit_view(known.where(inside)), known.where(~inside))
        yield from about_views("five folds by patient", known, ap, self.guess)
        for source in known.sources:
            shown = known.first & (known.source == source)
            yield from about_covid("five folds by patient", known.where(shown), ap[shown], "guessed view")
            yield from about_covid("none", known.where(shown), known.ap[shown], "stated view")

    def _without_sources(self) -> Iterator[Row]:
        known = self.known
        for source in known.sources:
            inside = np.asarray(known.source == source)
            head, shown = fit_view(known.where(~inside)), known.where(inside)
            name = f"without {source}"
            ap = predict_view(head, shown)
            yield from about_views(name, shown, ap, None)
            yield from about_covid(name, shown.where(shown.first), ap[shown.first], "guessed view")

    def _elsewhere(self) -> Iterator[Row]:
        """Sources that don't state both views: what is guessed, and what that says of the label."""
        healthy = (self.known.label == _HEALTHY) & (self.known.source == "nih") & ~self.test
        healthy_head = fit_view(self.known.where(healthy))
        for source in self.all.sources:
            if source in self.known.sources:
                continue
            shown = self.all.where(np.asarray((self.all.source == source) & self.all.first))
            ap = predict_view(self.made.head, shown)
            yield from about_guesses("released", shown, ap, self.guess)
            yield from about_covid("released", shown, ap, "guessed view")
            yield from about_covid(
                "nih without pneumonia alone", shown, predict_view(healthy_head, shown), "guessed view"
            )

    def _phantoms(self) -> Iterator[Row]:
        """The same simulated patients standing and in bed: does a head that learned from people tell them apart?"""
        shown = [(seed, view) for seed in range(_PHANTOMS) for view in (View.AP, View.PA)]
        drawn = (draw(seed, list(Label)[seed % 3], view=view, size=KEPT_SIDE).pixels for seed, view in shown)
        features = np.concatenate([self.encoder.features([np.ascontiguousarray(pixels)]) for pixels in drawn])
        with torch.no_grad():
            ap = self.made.head(torch.from_numpy(features)).double().sigmoid().numpy()
        positive = np.array([view is View.AP for _, view in shown])
        sample = Sample(np.array([seed for seed, _ in shown]), positive, "AP")
        found = ranking_estimate("auroc", sample, auroc(ap, positive), resampling=RESAMPLING)
        yield Row.of("released", "AUROC of AP against PA", "phantoms", "all", found)

    @property
    def guess(self) -> ViewDescription:
        """The thresholds of the released head."""
        return self.made.description

    def write(self, folder: Path) -> None:
        """The gate of the package with the view classifier, as ``exchange_gate.py`` takes it."""
        gate = self.package.description.gate
        assert gate is not None
        head: ViewHead = self.made.head
        bare = self.package.read(GATE)
        write_whole(folder / "gate.onnx", with_view(bare, head))
        described = gate.model_copy(update={"view": self.made.description})
        write_whole(folder / "gate.json", described.model_dump_json(indent=1))


def _both(groups: list[Group]) -> list[str]:
    return [g.source for g in groups if all(names & set(g.projections) for names in _BOTH_VIEWS)]


def about_views(head: str, examples: Examples, ap: Floats, guess: ViewDescription | None) -> Iterator[Row]:
    """AP against PA, for the images as they are: by source, and by the label within it."""
    for source in examples.sources:
        of_source = examples.first & (examples.source == source)
        covid = np.char.startswith(examples.label.astype(str), _COVID)
        strata = {"all": of_source, "COVID-19": of_source & covid, "others": of_source & ~covid}
        for among, chosen in strata.items() if covid[of_source].any() else [("all", of_source)]:
            sample = _sample(examples, chosen, examples.ap == 1)
            found = ranking_estimate("auroc", sample, auroc(ap[chosen], sample.positive), resampling=RESAMPLING)
            yield Row.of(head, "AUROC of AP against PA", source, among, found)
            if guess is not None:
                yield from _guesses(head, source, among, sample, ap[chosen], guess)


def _guesses(head: str, source: str, among: str, sample: Sample, ap: Floats, guess: ViewDescription) -> Iterator[Row]:
    said_ap, said_pa = ap >= guess.high, ap < guess.low
    known = said_ap | said_pa
    wanted = {
        "unknown": Share(~known, np.ones(len(ap), dtype=bool), "no images"),
        "right, of those guessed": Share(said_ap == sample.positive, known, "none is guessed"),
        "guessed AP, of AP images": Share(said_ap, sample.positive, "no AP image"),
        "guessed PA, of PA images": Share(said_pa, ~sample.positive, "no PA image"),
    }
    for found in shares(sample, wanted, RESAMPLING):
        yield Row.of(head, found.name, source, among, found)


def about_guesses(head: str, examples: Examples, ap: Floats, guess: ViewDescription) -> Iterator[Row]:
    """Shares guessed AP and unknown, of a source that doesn't state its views."""
    everything = np.ones(len(ap), dtype=bool)
    wanted = {
        "guessed AP": Share(ap >= guess.high, everything, "no images"),
        "unknown": Share((ap >= guess.low) & (ap < guess.high), everything, "no images"),
    }
    sample = _sample(examples, everything, everything)
    for found in shares(sample, wanted, RESAMPLING):
        yield Row.of(head, found.name, examples.source[0], "all", found)


def about_covid(head: str, examples: Examples, ap: Floats, what: str) -> Iterator[Row]:
    """How well the probability of AP ranks COVID-19 against the other classes; soft and unknown labels left out."""
    chosen = np.isin(examples.label.astype(str), (_COVID, "other_pneumonia", "tuberculosis", _HEALTHY))
    positive = examples.label == _COVID
    if positive[chosen].any() and not positive[chosen].all():
        sample = _sample(examples, chosen, positive)
        found = ranking_estimate("auroc", sample, auroc(ap[chosen], sample.positive), resampling=RESAMPLING)
        yield Row.of(head, f"AUROC of COVID-19 by the {what} alone", str(examples.source[0]), "all", found)


def _sample(examples: Examples, chosen: Mask, positive: Mask) -> Sample:
    keys = (examples.source + "/" + examples.patient)[chosen]
    return Sample(pd.factorize(keys)[0].astype(np.int64), np.asarray(positive)[chosen], "AP")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the gate with its view classifier")
    parser.add_argument("--cache", type=Path, help="where images and features are kept")
    parser.add_argument("--package", default="released", help="whose gate gets the view classifier")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    package = ModelPackage.open(find_package(arguments.package))
    cache = arguments.cache or default_cache_folder()
    study = Study(Manifest.read(arguments.manifest), package, cache, arguments.seed)
    study.write(arguments.work / "with-view")
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Row)])
        for row in study.rows():
            writer.writerow(astuple(row))
            print(*astuple(row), sep="\t", flush=True)


if __name__ == "__main__":
    main()
