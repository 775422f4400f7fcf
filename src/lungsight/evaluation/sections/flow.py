"""The flow of images: what came in, what was left out and why, and what the test is then made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from lungsight._text import counted
from lungsight.datasets.check import AGE_GROUPS, UNKNOWN, age_groups
from lungsight.datasets.manifest import names_patient
from lungsight.evaluation.formatting import as_words
from lungsight.evaluation.rows import Row
from lungsight.evaluation.sections.input_checks import EVERY_CLASS, input_checks
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.eligibility import Eligible
from lungsight.evaluation.testset.overlap import Match, Overlap
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import FAULT, TRUTH

NAME = "flow"
CAME_IN, NOT_JUDGED = "came in", "couldn't be read, or scanning refuses it"
#: A property that so large a share of the images lacks is named.
_LACKING = 0.05

_OF_SPLIT = {
    "patient": "The training split whole patients, so none is on both sides of its split.",
    "image": "The training split single images: patients were on both sides of its own split, and the figures "
    "of its own validation are too good. This test leaves out patients it was trained on, unless asked to keep them.",
    "given": "The training took its split from the manifest; whether patients stand on both sides of it isn't known.",
}


def flow(
    eligible: Eligible,
    testset: TestSet,
    *,
    split_unit: str | None = None,
    resampling: Resampling = Resampling(),
) -> Section:
    """How the images tested on were selected, and what they are.

    Tables: ``flow`` (step, left out, remain), ``left_out`` (by reason, source and label), ``counts`` (images and
    patients of every class by kind, source, view, age group and sex) and, where it is known what the model was
    trained on, ``overlap`` (each test image met before) and ``overlap_counts``. If the package has a gate, an
    out-of-distribution detector or a lung segmentation, also the tables of :func:`~.input_checks.input_checks`.

    Args:
        eligible: what came in, what was left out and why.
        testset: the images that remained, unreadable ones included.
        split_unit: the package's; None: unknown.
        resampling: how many replicates, which level, which seed.
    """
    images, checked = testset.scored, input_checks(testset, resampling)
    tables: dict[str, pd.DataFrame | Sequence[Row]] = {
        "flow": _steps(eligible, testset),
        "left_out": _left_out(eligible, testset),
        "counts": counts(images),
    }
    if eligible.overlap is not None:
        tables |= {"overlap": _met_before(eligible.overlap), "overlap_counts": eligible.overlap.counts}
    tables |= checked.content
    sentences = (
        *_of_images(eligible, images),
        *_of_overlap(eligible),
        *([_OF_SPLIT[split_unit]] if split_unit in _OF_SPLIT else []),
        *_of_patients(images),
        *_of_what_is_missing(images),
        *checked.sentences,
    )
    return Section(NAME, tables, sentences)


def _steps(eligible: Eligible, testset: TestSet) -> pd.DataFrame:
    problems = int((testset.table[FAULT] != "").sum())
    rows = [(CAME_IN, 0, eligible.came_in)]
    rows += [(step.reason, step.left_out, step.remain) for step in eligible.flow]
    rows.append((NOT_JUDGED, problems, len(testset) - problems))
    return pd.DataFrame(rows, columns=["step", "left_out", "remain"])


def _left_out(eligible: Eligible, testset: TestSet) -> pd.DataFrame:
    """One row per reason, source and label, in the order of the steps."""
    columns = ["reason", "source", "label"]
    faulty = testset.table.loc[testset.table[FAULT] != "", ["source", "label"]].assign(reason=NOT_JUDGED)
    known = eligible.left_out if len(eligible.left_out) else pd.DataFrame(columns=columns)
    gone = pd.concat([known[columns], faulty[columns]], ignore_index=True)
    grouped = gone.groupby(columns, sort=False).size().rename("images").reset_index()
    order = {reason: i for i, reason in enumerate([*(step.reason for step in eligible.flow), NOT_JUDGED])}
    return grouped.sort_values("reason", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def counts(images: TestSet) -> pd.DataFrame:
    """Images and patients of each class, and of all, by kind of testing, source, view, age group and sex.

    The columns are property, value, kind, class, images and patients. Internal and external images are counted apart.
    """
    table = images.table.assign(
        patient=images.patient,
        view=images.table["view"].replace("", UNKNOWN),
        sex=images.table["sex"].replace("", UNKNOWN),
        **{"age group": age_groups(images.table["age"])},
    )
    names = ("all images", "source", "view", "age group", "sex")
    parts = [_counted(table.assign(**{"all images": "all"}), name, images.classes) for name in names]
    return pd.concat(parts, ignore_index=True)


def _counted(table: pd.DataFrame, name: str, classes: tuple[str, ...]) -> pd.DataFrame:
    both = pd.concat([table, table.assign(**{TRUTH: EVERY_CLASS})], ignore_index=True)
    grouped = both.groupby([KIND, name, TRUTH], sort=False)["patient"].agg(["size", "nunique"]).reset_index()
    grouped.columns = pd.Index(["kind", "value", "class", "images", "patients"])
    order = {value: i for i, value in enumerate((INTERNAL, EXTERNAL, *AGE_GROUPS, UNKNOWN, *classes, EVERY_CLASS))}
    ranks = grouped[["kind", "value", "class"]].map(lambda value: order.get(value, -1))
    places = np.lexsort([ranks["class"], grouped["value"].astype(str), ranks["value"], ranks["kind"]])
    found = grouped.iloc[places].reset_index(drop=True)
    found.insert(0, "property", name)
    return found


def _met_before(overlap: Overlap) -> pd.DataFrame:
    """The images that were met before, but for those of patients trained on: these are counted, and are many."""
    return overlap.matches[overlap.matches["how"] != Match.PATIENT].reset_index(drop=True)


def _of_images(eligible: Eligible, images: TestSet) -> Iterator[str]:
    positives, patients = int(images.positive.sum()), len(set(images.patient))
    k = images.table["source"].nunique()
    yield (
        f"Of {eligible.came_in:,} images {len(images):,} are tested on, of {patients:,} patients from "
        f"{counted(k, 'source')}; {positives:,} of them show {as_words(images.target)}."
    )
    largest = max(eligible.flow, key=lambda step: step.left_out, default=None)
    if largest is not None and largest.left_out:
        yield f"Most were left out for this reason: {largest.reason} ({largest.left_out:,})."


def _of_overlap(eligible: Eligible) -> Iterator[str]:
    overlap = eligible.overlap
    if overlap is None:
        yield (
            "What the model was trained on isn't known here, nor which of these images it has seen; "
            "--trained-on names a manifest of them."
        )
        return
    yield from overlap.notices
    if overlap.compared:
        alike = int(overlap.masks[Match.LOOK_ALIKE].sum())
        yield (
            f"{overlap.compared:,} images were compared by their looks with those the model was trained on: "
            f"{alike:,} {'looks' if alike == 1 else 'look'} the same. Copies cropped by more than a few hundredths "
            "aren't found in this way."
        )


def _of_patients(images: TestSet) -> Iterator[str]:
    own = int((~names_patient(images.table)).sum())
    if own:
        yield (
            f"{own:,} of {len(images):,} images name no patient, and each counts as a patient of its own: where "
            "patients repeat among them, the intervals are too narrow."
        )


def _of_what_is_missing(images: TestSet) -> Iterator[str]:
    table = images.table
    lacking = {
        "age": table["age"].isna(),
        "sex": table["sex"] == "",
        "view (taken for frontal)": table["view"] == "",
    }
    lacking_by_name = {name: int(mask.sum()) for name, mask in lacking.items() if mask.mean() > _LACKING}
    if lacking_by_name:
        names = ", ".join(f"{name} of {n:,}" for name, n in lacking_by_name.items())
        yield f"Unknown among {len(images):,} images: {names}."
