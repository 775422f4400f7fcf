"""How often the gate refuses what it shouldn't, and admits what it shouldn't: on sources, kinds and origins of images
that it never learned from.

    python benchmarks/gate.py manifest.csv --work work/ --elsewhere images/ --out docs/results/gate.csv

``manifest.csv``: all collections joined, the CT ones too. ``--elsewhere`` holds images that no training sees, as
``kind/origin/*.png`` (docs/results/gate.md says which). One gate is trained without each source of radiographs and of
CT slices, one without each kind of decoy, and one on all; each is asked about what it didn't see.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import binomtest

from lungsight.datasets.decoys import Films, Kind, families
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.splits import TEST
from lungsight.package.gate import CHILD, INVERTED, MARKED, Admission, Gate, GateDescription
from lungsight.package.lung_fields import LungFields, LungFieldsDescription
from lungsight.reading import read_radiograph
from lungsight.training.gate import GateRecipe, train_gate
from lungsight.training.gate.groups import kinds_of, sides_of
from lungsight.training.gate.views import with_marks

Floats = NDArray[np.float32]
_DECOY_SEED = 977  # another than any training's
_TURNED, _DECOYS = 100, 40
_PARTS = ("all", "sources", "kinds")


@dataclass(frozen=True)
class Row:
    """``found`` of ``n`` images, with the 95% Wilson interval of the share."""

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
        interval = binomtest(found, n).proportion_ci(method="wilson")
        return cls(gate, question, kind, origin, n, found, *(round(float(v), 4) for v in (found / n, *interval)))


class Asked:
    """A gate at work, with the lungs if there is a network for them; what it refused of real radiographs is noted."""

    def __init__(self, name: str, folder: Path, lung_fields: LungFields | None, wrong: Path) -> None:
        description = GateDescription.model_validate_json((folder / "gate.json").read_text("utf-8"))
        self.name, self.lungs, self.wrong = name, lung_fields, wrong
        self.gate = Gate((folder / "gate.onnx").read_bytes(), description, threads=1)

    def __call__(self, pixels: Floats) -> Admission:
        lungs = self.lungs.find(pixels) if self.lungs else None
        return self.gate.ask(pixels, lungs)

    def refused(self, kind: str, origin: str, images: Iterable[tuple[str, Floats]]) -> Row:
        answers = [(name, self(pixels)) for name, pixels in images]
        if kind == Kind.FRONTAL:
            self._note((name, answer) for name, answer in answers if answer.refusals)
        else:
            self._note((name, answer) for name, answer in answers if not answer.refusals)
        return Row.of(self.name, "refused", kind, origin, [bool(answer.refusals) for _, answer in answers])

    def _note(self, mistakes: Iterable[tuple[str, Admission]]) -> None:
        with self.wrong.open("a", encoding="utf-8") as file:
            for name, answer in mistakes:
                file.write(f"{self.name}\t{name}\t{answer.probability:.3f}\t{' '.join(answer.refusals)}\n")


def pixels_of(paths: Iterable[str]) -> Iterator[tuple[str, Floats]]:
    return ((str(path), read_radiograph(path).pixels) for path in paths)


def one_each(table: pd.DataFrame, most: int) -> list[str]:
    """The paths of at most ``most`` images, one of each patient, at random but always the same."""
    shuffled = table.sample(frac=1, random_state=0).drop_duplicates("patient")
    return list(shuffled["path"].iloc[:most])


def about_films(asked: Asked, paths: list[str], source: str) -> Iterator[Row]:
    """Refusals of real frontal radiographs, and what is said of them: upright, inverted, turned."""
    yield asked.refused(Kind.FRONTAL, source, pixels_of(paths))
    upright = [asked(pixels) for _, pixels in pixels_of(paths[:_TURNED])]
    for question, sentence in (("said inverted", INVERTED), ("said marked", MARKED), ("said a child's", CHILD)):
        yield Row.of(asked.name, question, "frontal", source, [sentence in answer.warnings for answer in upright])
    yield Row.of(asked.name, "said turned", "frontal", source, [_angle(answer) != 0 for answer in upright])
    other = [asked(1 - pixels) for _, pixels in pixels_of(paths[:_TURNED])]
    yield Row.of(asked.name, "said inverted", "frontal, inverted", source, [answer.inverted for answer in other])
    yield Row.of(asked.name, "refused", "frontal, inverted", source, [bool(answer.refusals) for answer in other])
    heavy = (with_marks(pixels, np.random.default_rng([_DECOY_SEED, n])) for n, (_, pixels) in _numbered(paths))
    answers = [asked(pixels) for pixels in heavy]
    yield Row.of(asked.name, "said marked", "frontal, marked", source, [MARKED in a.warnings for a in answers])
    yield Row.of(asked.name, "refused", "frontal, marked", source, [bool(a.refusals) for a in answers])
    right, refused = [], []
    for place, (_, pixels) in _numbered(paths):
        quarters = place % 3 + 1
        answer = asked(np.ascontiguousarray(np.rot90(pixels, quarters)))
        right.append(_angle(answer) == 90 * quarters)
        refused.append(bool(answer.refusals))
    yield Row.of(asked.name, "said turned, by the right angle", "frontal, turned", source, right)
    yield Row.of(asked.name, "refused", "frontal, turned", source, refused)


def _numbered(paths: list[str]) -> Iterator[tuple[int, tuple[str, Floats]]]:
    return enumerate(pixels_of(paths[:_TURNED]))


def _angle(answer: Admission) -> int:
    said = [sentence for sentence in answer.warnings if "turned clockwise by" in sentence]
    return int(said[0].split(" by ")[1].split()[0]) if said else 0


def about_decoys(asked: Asked, kind: Kind, films: list[str]) -> Iterator[Row]:
    """Refusals of decoys of one kind, drawn anew, those broken out of ``films``."""
    loaded = [pixels for _, pixels in pixels_of(films[:40])]
    for family in families().values():
        if family.kind is not kind:
            continue
        rngs = [np.random.default_rng([_DECOY_SEED, n]) for n in range(_DECOYS)]
        drawn = ((family.name, family.draw(rng, _one_of(loaded))) for rng in rngs)
        yield asked.refused(kind, f"{family.name} ({family.origin})", drawn)


def _one_of(films: list[Floats]) -> Films:
    return lambda rng: films[int(rng.integers(len(films)))].copy()


def about_elsewhere(asked: Asked, folder: Path, kinds: Callable[[str], bool]) -> Iterator[Row]:
    for place in sorted(folder.glob("*/*")):
        paths = [str(path) for path in sorted(place.glob("*.png"))]
        if paths and kinds(place.parent.name):
            yield asked.refused(place.parent.name, place.name, pixels_of(paths))


class Study:
    """The trainings and their questions, one after the other; what is done is kept in ``work``."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.manifest = Manifest.read(arguments.manifest)
        self.work, self.cache, self.elsewhere = arguments.work, arguments.cache, arguments.elsewhere
        self.most, self.seed = arguments.most, arguments.seed
        stated = arguments.recipe.read_text("utf-8") if arguments.recipe else "{}"
        self.recipe = GateRecipe.model_validate_json(stated)
        self.lungs = _lung_fields(arguments.lung_fields)
        self.table = self.manifest.table.assign(
            kind=kinds_of(self.manifest), side=sides_of(self.manifest, self.seed), path=self.manifest.table["path"]
        )
        self.console = Console(stderr=True)
        (self.work / "wrong.tsv").unlink(missing_ok=True)

    def rows(self, parts: Collection[str]) -> Iterator[Row]:
        if "all" in parts:
            yield from self._on_all()
        if "sources" in parts:
            yield from self._without_each_source()
        if "kinds" in parts:
            for kind in (Kind.PICTURE, Kind.DOCUMENT, Kind.OTHER_PART, Kind.SLICE, Kind.LATERAL, Kind.UNUSABLE):
                yield from self._without_kind(kind)

    def _without_each_source(self) -> Iterator[Row]:
        sources = [str(s) for s in self.table.loc[self.table["kind"] == Kind.FRONTAL, "source"].unique()]
        for source in sources:
            yield from self._without_source(source)
        slices = self.table.loc[self.table["kind"] == Kind.SLICE, "source"].unique()
        for source in sorted(set(slices) - set(sources)):
            asked = self._gate(f"without {source}", without_sources=(source,))
            yield asked.refused(Kind.SLICE, source, pixels_of(self._paths(Kind.SLICE, source)))

    def _on_all(self) -> Iterator[Row]:
        asked = self._gate("on all")
        held = self.table[self.table["side"] == TEST]
        for (kind, source), rows in held[held["kind"] != ""].groupby(["kind", "source"], sort=True):
            paths = one_each(rows, self.most)
            if kind == Kind.FRONTAL:
                yield from about_films(asked, paths, f"{source}, test patients")
            else:
                yield asked.refused(kind, f"{source}, test patients", pixels_of(paths))
        yield from about_elsewhere(asked, self.elsewhere, lambda _: True)

    def _without_source(self, source: str) -> Iterator[Row]:
        asked = self._gate(f"without {source}", without_sources=(source,))
        films = self._paths(Kind.FRONTAL, source)
        yield from about_films(asked, films, source)
        yield from about_decoys(asked, Kind.UNUSABLE, films)
        for kind in (Kind.LATERAL, Kind.SLICE):
            paths = self._paths(kind, source)
            if paths:
                yield asked.refused(kind, source, pixels_of(paths))

    def _without_kind(self, kind: Kind) -> Iterator[Row]:
        asked = self._gate(f"without the kind {kind}", without_kinds=(str(kind),))
        films = list(self.table[(self.table["side"] == TEST) & (self.table["kind"] == Kind.FRONTAL)]["path"])
        yield from about_decoys(asked, kind, films[::20])
        for source, rows in self.table[self.table["kind"] == kind].groupby("source", sort=True):
            yield asked.refused(kind, str(source), pixels_of(one_each(rows, self.most)))
        yield from about_elsewhere(asked, self.elsewhere, lambda name: name == kind)

    def _gate(self, name: str, **without: tuple[str, ...]) -> Asked:
        started = time.process_time()
        folder = self.work / name.replace(" ", "-")
        recipe = self.recipe.model_copy(update=without)
        train_gate(recipe, self.manifest, folder, seed=self.seed, cache=self.cache, console=self.console)
        self.console.print(f"{name}: {time.process_time() - started:.0f} s of processor time")
        return Asked(name, folder, self.lungs, self.work / "wrong.tsv")

    def _paths(self, kind: Kind, source: str) -> list[str]:
        return one_each(self.table[(self.table["kind"] == kind) & (self.table["source"] == source)], self.most)


def _lung_fields(folder: Path | None) -> LungFields | None:
    if folder is None:
        return None
    description = LungFieldsDescription.model_validate_json((folder / "lung_fields.json").read_text("utf-8"))
    return LungFields((folder / "lung_fields.onnx").read_bytes(), description, threads=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the trained gates")
    parser.add_argument("--cache", type=Path, help="where images and features are kept")
    parser.add_argument("--elsewhere", type=Path, required=True, help="kind/origin/*.png")
    parser.add_argument("--lung-fields", type=Path, help="a folder with lung_fields.onnx and .json")
    parser.add_argument("--recipe", type=Path, help="a recipe as JSON; the released one otherwise")
    parser.add_argument("--most", type=int, default=300, help="images of each source, at most")
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
