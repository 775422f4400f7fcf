"""A test as ``lungsight evaluate`` left it in a folder: whose it is, what it claims, what was said of each image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lungsight.errors import LungsightError, printable
from lungsight.evaluation.testset.testset import KIND, UNSTATED
from lungsight.package.stated_grade import StatedGrade, stated_grade
from lungsight.statistics.outcomes import FAULT, PREDICTION, SHA256, TRUTH, probability_column

_NEEDED = ("source", "patient", TRUTH, SHA256, PREDICTION, FAULT)
#: What a test writes, now and before there was evidence.
_STATEMENTS = ("evidence.json", "evaluation.json")
NO_GRADE = "not graded"


class SavedEvaluationError(LungsightError):
    """A folder that isn't what ``lungsight evaluate`` leaves, or that can't be set beside the others."""


@dataclass(frozen=True, eq=False)
class SavedEvaluation:
    """One test.

    Attributes:
        model: the package's id, or the name of somebody's table.
        target: the class set against the rest.
        grade: of its performance; :data:`NO_GRADE` where the folder has none.
        shortcut: whether a shortcut was found; empty likewise.
        claim: both in sentences; empty likewise.
        images: one row per image that was judged and has a truth and a checksum: sha256, source, patient, kind,
            truth, positive, called (the target was the verdict), score (its probability).
        judged: how many images were judged, those included that have no checksum or stand there twice.
    """

    folder: Path
    model: str
    target: str
    grade: str
    shortcut: str
    claim: str
    images: pd.DataFrame
    testset: int

    @property
    def words(self) -> str:
        """Grade and shortcut flag in a few words."""
        return f"{self.grade}; shortcut {self.shortcut}" if self.shortcut else self.grade


def read_saved(folder: Path, target: str | None = None) -> SavedEvaluation:
    """Read a folder of ``lungsight evaluate``; ``target`` takes the place of its own. Raises InvalidEvaluation."""
    stated = _statement(folder)
    subject, graded = _part(stated, "subject", stated), _graded(stated)
    chosen = target or str(subject.get("target") or "")
    table = _predictions(folder / "predictions.csv")
    if probability_column(chosen) not in table.columns:
        classes = [
            c.removeprefix(probability_column("")) for c in table.columns if c.startswith(probability_column(""))
        ]
        problem = (
            f"{printable(chosen)} isn't a class of this model" if chosen else "doesn't say which class is the target"
        )
        raise SavedEvaluationError(folder, problem, f"give one of {', '.join(classes)} with --target")
    testset = table[(table[FAULT] == "") & (table[TRUTH] != "")]
    return SavedEvaluation(
        folder=folder,
        model=str(subject.get("model") or folder.resolve().name),
        target=chosen,
        grade=graded.grade or NO_GRADE,
        shortcut=graded.shortcut,
        claim=f"{graded.sentence} {graded.shortcut_sentence}".strip(),
        images=_images(testset, chosen, folder),
        testset=len(testset),
    )


def _graded(stated: Mapping[str, Any]) -> StatedGrade:
    try:
        return stated_grade(stated)
    except (KeyError, TypeError, AttributeError):
        return StatedGrade("", "", "")


def _part(stated: Mapping[str, Any], name: str, otherwise: Mapping[str, Any]) -> Mapping[str, Any]:
    part = stated.get(name)
    return part if isinstance(part, Mapping) else otherwise


def _statement(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise SavedEvaluationError(folder, "there is no such folder", "give folders that `lungsight evaluate` wrote")
    for name in _STATEMENTS:
        if (folder / name).is_file():
            try:
                stated = json.loads((folder / name).read_text("utf-8"))
            except (ValueError, RecursionError) as error:
                raise SavedEvaluationError(folder / name, "isn't JSON", "run `lungsight evaluate` again") from error
            if isinstance(stated, dict):
                return stated
    return {}


def _predictions(path: Path) -> pd.DataFrame:
    if not path.is_file():
        hint = "give a folder that `lungsight evaluate` wrote"
        raise SavedEvaluationError(path, "there is no such file", hint)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except Exception as error:  # pandas raises a dozen kinds for a broken table
        raise SavedEvaluationError(path, "isn't a readable table", "run `lungsight evaluate` again") from error
    if missing := [name for name in _NEEDED if name not in table.columns]:
        raise SavedEvaluationError(path, f"lacks the column {missing[0]}", "run `lungsight evaluate` again")
    return table


def _images(testset: pd.DataFrame, target: str, folder: Path) -> pd.DataFrame:
    known = testset[testset[SHA256] != ""].drop_duplicates(SHA256)
    score = pd.to_numeric(known[probability_column(target)], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(score).all():
        hint = "run `lungsight evaluate` again"
        raise SavedEvaluationError(folder / "predictions.csv", "holds a probability that isn't a number", hint)
    kind = known[KIND] if KIND in known else pd.Series(UNSTATED, index=known.index)
    columns = {name: known[name].to_numpy(dtype=object) for name in (SHA256, "source", "patient", TRUTH)}
    called = (known[PREDICTION] == target).to_numpy(dtype=bool)
    positive = (known[TRUTH] == target).to_numpy(dtype=bool)
    more = {KIND: kind.to_numpy(dtype=object), "positive": positive, "called": called, "score": score}
    return pd.DataFrame({**columns, **more}).set_index(SHA256)
