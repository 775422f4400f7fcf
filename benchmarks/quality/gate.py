"""How often images are refused that shouldn't be, and admitted that shouldn't be, by gate and lung fields together:
on sources, kinds, parts of the body and origins of images that the gate never learned from.

    python benchmarks/quality/gate.py manifest.csv --package released --work work/ --out docs/results/gate.csv

``manifest.csv``: all collections joined, those of CT and of other parts of the body too. ``--package`` gives the lung
fields, and what its detector learned from, so that no gate learns from its test patients; its own gate is asked
first. ``--elsewhere`` holds images that no training sees, as ``kind/origin/*.png``. One gate is trained without each
source of radiographs and of CT slices, one without each part of the body, five without a fifth of the radiographs of
other parts, one without each kind of decoy, and one on all; each is asked about what it didn't see. What was trained
is kept in ``--work``: ``on-all`` holds the gate that a package takes.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedGroupKFold

from lungsight.components.input_gate import CHILD, INVERTED, MARKED, Gate, GateDescription
from lungsight.components.lung_segmentation import LungSegmentation
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.ood_images import Kind, Radiographs, families
from lungsight.datasets.splits import TEST
from lungsight.inference.preparation import CheckedImage, ImageChecker
from lungsight.networks.gate_network import GateHeads
from lungsight.package import ModelPackage, find_package
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph
from lungsight.training.gate import GateRecipe
from lungsight.training.gate.augmentation import with_marks
from lungsight.training.gate.examples import Examples
from lungsight.training.gate.features import Encoder
from lungsight.training.gate.groups import Group, kinds_of, sides_of
from lungsight.training.gate.heads import fit_heads
from lungsight.training.gate.run import description_of, examples_of, write_gate
from lungsight.training.gate.thresholds import Predictions, predictions_elsewhere, thresholds_of
from lungsight.training.image_cache import default_cache_folder

Floats = NDArray[np.float32]
_DECOY_SEED = 977  # another than any training's
_DECOYS = 40
_FOLDS = 5
_FEWEST = 10  # images of a part of the body for which a gate is trained without it
_PARTS = ("package", "all", "sources", "body", "kinds")


@dataclass(frozen=True)
class Row:
    """``found`` of ``n`` images, with the exact 95% interval of the share (Clopper and Pearson)."""

    gate: str
    question: str
    kind: str
    origin: str
    n: int
    found: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, gate: str, question: str, kind: str, origin: str, answers: list[bool]) -> Row:
        found, n = sum(answers), len(answers)
        interval = binomtest(found, n).proportion_ci(method="exact")
        return cls(gate, question, kind, origin, n, found, *(round(float(v), 4) for v in (found / n, *interval)))


class HeadsAtWork:
    """Heads on the shared encoder, in the place of an ONNX file: the export says the same and takes longer."""

    def __init__(self, heads: GateHeads, encoder: Encoder) -> None:
        self.heads, self.encoder = heads, encoder

    def run(self, outputs: Sequence[str], seen: Floats) -> list[NDArray[np.float32]]:
        with torch.no_grad():
            said = self.heads(torch.from_numpy(self.encoder.features_of(seen)))
        return [getattr(said, name).numpy() for name in outputs]


class GateAtWork(Gate):
    """A gate without a file."""

    def __init__(self, heads: GateHeads, description: GateDescription, encoder: Encoder) -> None:
        self.description = description
        self._preprocessing = encoder.preprocessing
        self.network = HeadsAtWork(heads, encoder)  # type: ignore[assignment]


class Asked:
    """A gate at work, with the lungs if there is a network for them; what was answered wrongly is noted."""

    def __init__(self, name: str, gate: Gate | None, lung_fields: LungSegmentation | None, wrong: Path) -> None:
        self.name, self.wrong, self.examiner = name, wrong, ImageChecker(lung_fields, gate)

    def __call__(self, pixels: Floats) -> CheckedImage:
        return self.examiner.check_input(Radiograph(np.array(pixels), file="", sha256=""))

    def refused(self, kind: str, origin: str, images: Iterable[tuple[str, Floats]]) -> Row:
        return Row.of(self.name, "refused", kind, origin, self.refusals(kind, images))

    def refusals(self, kind: str, images: Iterable[tuple[str, Floats]]) -> list[bool]:
        """Whether each image is refused."""
        answers = [(name, self(pixels)) for name, pixels in images]
        if kind == Kind.FRONTAL:
            self._note((name, answer) for name, answer in answers if answer.refusals)
        else:
            self._note((name, answer) for name, answer in answers if not answer.refusals)
        return [bool(answer.refusals) for _, answer in answers]

    def _note(self, mistakes: Iterable[tuple[str, CheckedImage]]) -> None:
        with self.wrong.open("a", encoding="utf-8") as file:
            for name, answer in mistakes:
                file.write(f"{self.name}\t{name}\t{' '.join(answer.refusals)}\n")


def pixels_of(paths: Iterable[str]) -> Iterator[tuple[str, Floats]]:
    return ((str(path), read_radiograph(path).pixels) for path in paths)


def one_each(table: pd.DataFrame, most: int) -> list[str]:
    """The paths of at most ``most`` images, one of each patient, at random but always the same."""
    shuffled = table.sample(frac=1, random_state=0).drop_duplicates("patient")
    return list(shuffled["path"].iloc[:most])


def about_films(asked: Asked, paths: list[str], source: str) -> Iterator[Row]:
    """What is said of real frontal radiographs: upright, inverted, marked, turned."""
    if not paths:
        return
    upright = [asked(pixels) for _, pixels in pixels_of(paths)]
    for question, sentence in (("said inverted", INVERTED), ("said marked", MARKED), ("said a child's", CHILD)):
        yield Row.of(asked.name, question, "frontal", source, [sentence in answer.warnings for answer in upright])
    yield Row.of(asked.name, "said turned", "frontal", source, [_angle(answer) != 0 for answer in upright])
    other = [asked(1 - pixels) for _, pixels in pixels_of(paths)]
    yield Row.of(asked.name, "said inverted", "frontal, inverted", source, [INVERTED in a.warnings for a in other])
    yield Row.of(asked.name, "refused", "frontal, inverted", source, [bool(a.refusals) for a in other])
    heavy = (with_marks(pixels, np.random.default_rng([_DECOY_SEED, n])) for n, (_, pixels) in _numbered(paths))
    answers = [asked(pixels) for pixels in heavy]
    yield Row.of(asked.name, "said marked", "frontal, marked", source, [MARKED in a.warnings for a in answers])
    yield Row.of(asked.name, "refused", "frontal, marked", source, [bool(a.refusals) for a in answers])
    turned = [
        (90 * (place % 3 + 1), asked(np.ascontiguousarray(np.rot90(pixels, place % 3 + 1))))
        for place, (_, pixels) in _numbered(paths)
    ]
    right = [_angle(answer) == angle for angle, answer in turned]
    yield Row.of(asked.name, "said turned, by the right angle", "frontal, turned", source, right)
    yield Row.of(asked.name, "refused", "frontal, turned", source, [bool(a.refusals) for _, a in turned])


def _numbered(paths: list[str]) -> Iterator[tuple[int, tuple[str, Floats]]]:
    return enumerate(pixels_of(paths))


def _angle(answer: CheckedImage) -> int:
    said = [sentence for sentence in answer.warnings if "turned clockwise by" in sentence]
    return int(said[0].split(" by ")[1].split()[0]) if said else 0


def about_decoys(asked: Asked, kind: Kind, films: list[str], number: int) -> Iterator[Row]:
    """Refusals of so many decoys of one kind, drawn anew, those broken out of ``films``."""
    loaded = [pixels for _, pixels in pixels_of(films[:40])]
    for family in families().values():
        if family.kind is not kind or not number:
            continue
        rngs = [np.random.default_rng([_DECOY_SEED, n]) for n in range(number)]
        drawn = ((family.name, family.draw(rng, _one_of(loaded))) for rng in rngs)
        yield asked.refused(kind, f"{family.name} ({family.origin})", drawn)


def _one_of(films: list[Floats]) -> Radiographs:
    return lambda rng: films[int(rng.integers(len(films)))].copy()


def about_elsewhere(asked: Asked, folder: Path, kinds: Callable[[str], bool]) -> Iterator[Row]:
    for place in sorted(folder.glob("*/*")):
        paths = [str(path) for path in sorted(place.glob("*.png"))]
        if paths and kinds(place.parent.name):
            yield asked.refused(place.parent.name, place.name, pixels_of(paths))


def with_sides_of(package: ModelPackage, manifest: Manifest) -> Manifest:
    """Images of the sources that the package's detector learned from, on the sides where it had them: what it neither
    learned from nor was tuned on is test, and all images of a patient stand where the frontal ones stand."""
    table = manifest.table
    known = table["source"].isin([source.name for source in package.description.sources])
    learned = {image.sha256: image.split for image in package.trained_on}
    split = table["split"].copy()
    frontal = known & manifest.is_projection & manifest.is_frontal
    split[frontal] = [learned.get(sha256(Path(p).read_bytes()).hexdigest(), TEST) for p in table["path"][frontal]]
    of_patient = dict(
        zip(manifest.patient_key[frontal][::-1], split[frontal][::-1], strict=True)
    )  # of the first image
    others = known & ~frontal
    split[others] = [of_patient.get(key, "") for key in manifest.patient_key[others]]
    return manifest.with_columns(split=split)


class Study:
    """The trainings and their questions, one after the other; what was trained is kept in ``work``."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.work, self.elsewhere, self.most = arguments.work, arguments.elsewhere, arguments.most
        self.cache = arguments.cache or default_cache_folder()
        self.seed, self.turned = arguments.seed, arguments.turned
        self.recipe = GateRecipe()
        self.package = ModelPackage.open(find_package(arguments.package))
        self.lungs = self.package.lung_fields(1)
        self.manifest = with_sides_of(self.package, Manifest.read(arguments.manifest))
        self.encoder = Encoder(self.recipe, self.seed, self.cache)
        self.table = self.manifest.table.assign(
            kind=kinds_of(self.manifest), side=sides_of(self.manifest, self.seed), key=self.manifest.patient_key
        )
        self.console = Console(stderr=True)
        (self.work / "wrong.tsv").unlink(missing_ok=True)

    def rows(self, parts: Collection[str]) -> Iterator[Row]:
        if "package" in parts:
            yield from self._of_the_package()
        if "all" in parts:
            yield from self._on_all()
        if "sources" in parts:
            yield from self._without_each_source()
        if "body" in parts:
            yield from self._without_some_of_the_body()
        if "kinds" in parts:
            for kind in (Kind.PICTURE, Kind.DOCUMENT, Kind.OTHER_PART, Kind.SLICE, Kind.LATERAL, Kind.UNUSABLE):
                yield from self._without_kind(kind)

    @cached_property
    def _learned(self) -> tuple[list[Group], Examples]:
        log = self.console.print
        return examples_of(self.recipe, self.manifest, self.encoder, self.cache, seed=self.seed, log=log)

    @cached_property
    def _elsewhere(self) -> dict[str, Predictions]:
        """By source, what heads that never saw it say of its films: by these the thresholds are drawn."""
        _, examples = self._learned
        heads = {s: self._heads(f"without {s}", examples.source != s) for s in examples.sources}
        return predictions_elsewhere(heads, examples, self.console.print)

    def _heads(self, name: str, learned: NDArray[np.bool_]) -> GateHeads:
        """Trained on the views ``learned``, or read from ``work``."""
        place = self.work / f"{name.replace(' ', '-')}.pt"
        _, examples = self._learned
        if place.is_file():
            heads = GateHeads(examples.features.shape[1], len(Kind), self.recipe.components)
            heads.load_state_dict(torch.load(place, weights_only=True))
            return heads.eval()
        started = time.process_time()
        heads = fit_heads(self.recipe, examples if learned.all() else examples.where(learned), self.seed)
        torch.save(heads.state_dict(), place)
        self.console.print(f"{name}: {time.process_time() - started:.0f} s of processor time")
        return heads

    def _asked(self, name: str, learned: NDArray[np.bool_], without: str = "") -> Asked:
        """A gate that learned from the views ``learned``; its thresholds don't rest on the source ``without``."""
        chosen, _ = self._learned
        answers = [answer for source, answer in self._elsewhere.items() if source != without]
        description = description_of(self.recipe, chosen, thresholds_of(self.recipe, answers), self.encoder)
        gate = GateAtWork(self._heads(name, learned), description, self.encoder)
        return Asked(name, gate, self.lungs, self.work / "wrong.tsv")

    def _of_the_package(self) -> Iterator[Row]:
        """The package's own gate, about the sources that it didn't learn from."""
        gate = self.package.gate(1)
        asked = Asked(f"of {self.package.id}", gate, self.lungs, self.work / "wrong.tsv")
        known = set(gate.description.trained_on) if gate is not None else set()
        yield from self._all_of(asked, self.table[~self.table["source"].isin(known)])

    def _on_all(self) -> Iterator[Row]:
        """The gate that a package is to have, about test patients, and images from elsewhere."""
        chosen, examples = self._learned
        heads = self._heads("on all", np.ones(len(examples.kind), dtype=bool))
        thresholds = thresholds_of(self.recipe, list(self._elsewhere.values()))
        description = description_of(self.recipe, chosen, thresholds, self.encoder)
        folder = write_gate(self.work / "on-all", heads, description, self.recipe, self.encoder, self.seed)
        gate = Gate((folder / "gate.onnx").read_bytes(), description, threads=1)
        asked = Asked("on all", gate, self.lungs, self.work / "wrong.tsv")
        yield from self._all_of(asked, self.table[self.table["side"] == TEST])
        if self.elsewhere:
            yield from about_elsewhere(asked, self.elsewhere, lambda _: True)

    def _all_of(self, asked: Asked, rows: pd.DataFrame) -> Iterator[Row]:
        """What ``asked`` says of one image of each patient, by kind and source, and part of the body."""
        for names, some in rows[rows["kind"] != ""].groupby(["kind", "source", "body_part"], sort=True):
            kind, source, part = (str(name) for name in names)
            yield asked.refused(kind, part or source, pixels_of(one_each(some, self.most)))

    def _without_each_source(self) -> Iterator[Row]:
        _, examples = self._learned
        for source in examples.sources:
            yield from self._without_source(source)
        slices = self.table.loc[self.table["kind"] == Kind.SLICE, "source"].unique()
        for source in sorted(set(slices) - set(examples.sources) - {"bones"}):
            asked = self._asked(f"without {source}", examples.source != source)
            yield asked.refused(Kind.SLICE, source, pixels_of(self._paths(Kind.SLICE, source)))

    def _without_source(self, source: str) -> Iterator[Row]:
        _, examples = self._learned
        asked = self._asked(f"without {source}", examples.source != source, without=source)
        films = self._paths(Kind.FRONTAL, source)
        yield asked.refused(Kind.FRONTAL, source, pixels_of(films))
        yield from about_films(asked, films[: self.turned], source)
        yield from about_decoys(asked, Kind.UNUSABLE, films, min(self.turned, _DECOYS))
        for kind in (Kind.LATERAL, Kind.SLICE):
            paths = self._paths(kind, source)
            if paths:
                yield asked.refused(kind, source, pixels_of(paths))

    def _without_some_of_the_body(self) -> Iterator[Row]:
        """Radiographs of other parts: a fifth left out, look-alikes together; then each part left out whole."""
        others = self.table[self.table["kind"] == Kind.OTHER_PART]
        answers: dict[str, list[bool]] = {}
        folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=self.seed)
        for number, (_, validation) in enumerate(folds.split(others, others["body_part"], others["key"]), start=1):
            asked = self._without_rows(f"without fold {number} of {_FOLDS}", others.iloc[validation])
            for part, some in others.iloc[validation].groupby("body_part", sort=True):
                refused = asked.refusals(Kind.OTHER_PART, pixels_of(some["path"]))
                answers.setdefault(str(part), []).extend(refused)
        answers["all"] = [refused for said in answers.values() for refused in said]
        for part, said in answers.items():
            yield Row.of(f"without each of {_FOLDS} folds", "refused", Kind.OTHER_PART, part, said)
        for part, rows in others.groupby("body_part", sort=True):
            if len(rows) >= _FEWEST:
                asked = self._without_rows(f"without {part}", rows)  # type: ignore[str-bytes-safe]
                yield asked.refused(Kind.OTHER_PART, str(part), pixels_of(rows["path"]))

    def _without_rows(self, name: str, validation: pd.DataFrame) -> Asked:
        _, examples = self._learned
        return self._asked(name, ~np.isin(examples.patient.astype(str), validation["key"].to_numpy(dtype=str)))

    def _without_kind(self, kind: Kind) -> Iterator[Row]:
        _, examples = self._learned
        asked = self._asked(f"without the kind {kind}", examples.kind != list(Kind).index(kind))
        films = list(self.table[(self.table["side"] == TEST) & (self.table["kind"] == Kind.FRONTAL)]["path"])
        yield from about_decoys(asked, kind, films[::20], _DECOYS)
        for source, rows in self.table[self.table["kind"] == kind].groupby("source", sort=True):
            yield asked.refused(kind, str(source), pixels_of(one_each(rows, self.most)))
        if self.elsewhere:
            yield from about_elsewhere(asked, self.elsewhere, lambda name: name == kind)

    def _paths(self, kind: Kind, source: str) -> list[str]:
        return one_each(self.table[(self.table["kind"] == kind) & (self.table["source"] == source)], self.most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the trained gates")
    parser.add_argument("--cache", type=Path, help="where images and features are kept")
    parser.add_argument("--elsewhere", type=Path, help="kind/origin/*.png")
    parser.add_argument("--package", default="released", help="whose lung fields and gate are asked")
    parser.add_argument("--most", type=int, default=300, help="images of each source, at most")
    parser.add_argument("--turned", type=int, default=100, help="films of each source that are turned, marked …")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS, help="which gates to train and ask")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Row)])
        for row in Study(arguments).rows(arguments.parts):
            writer.writerow(astuple(row))
            file.flush()
            print(*astuple(row), sep="\t", flush=True)


if __name__ == "__main__":
    main()
