"""The test set: what is known of each image and what the model predicts for it; every section and audit reads it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungsight.components.lungs import Box
from lungsight.datasets.spellings import NOT
from lungsight.evaluation.testset.lung_masks import LungMask
from lungsight.radiograph import View
from lungsight.statistics.bootstrap import Sample
from lungsight.statistics.outcomes import FAULT, TRUTH, Floats, Floats32, Mask, Outcomes, probability_column

#: The column that says how the model stands to an image's source.
KIND = "kind"
#: The model was trained on other patients of the source; it never saw the source; nobody said which.
INTERNAL, EXTERNAL, UNSTATED = "internal", "external", "unstated"
KINDS = (INTERNAL, EXTERNAL, UNSTATED)
#: The ``source`` of rows that put the sources of a group together.
ALL_SOURCES = "all"
#: The decision that scanning gives: the target, ``no_sign``, ``inconclusive``, ``refused``, or a class.
DECISION = "verdict"
#: Columns of a package's other components: why its input gate refuses the image (empty if it doesn't), whether the
#: gate took it for a negative; whether it is out-of-distribution; why its lungs aren't two plausible ones.
REFUSED, INVERTED, UNFAMILIAR, LUNG_FAULTS = "refused", "inverted", "unfamiliar", "lung_faults"
#: Columns of a view classifier: ``AP``, ``PA``, or empty where it is unsure or refuses the image; and its probability
#: of AP, NaN where the image is refused. The manifest's own column ``view`` has what is stated.
VIEW_GUESS, VIEW_AP = "view_guess", "view_ap"
#: What a manifest may state, as AP or PA.
STATED_VIEWS = {View.PA: "PA", View.AP: "AP", View.AP_SUPINE: "AP"}


def kind_of(source: str, trained_sources: Collection[str] | None) -> str:
    """How a model stands to a source; ``trained_sources`` is None if nobody said what it was trained on."""
    if trained_sources is None:
        return UNSTATED
    return INTERNAL if source in trained_sources else EXTERNAL


@dataclass(frozen=True, eq=False)
class TestSet:
    """Images with a truth and a prediction; row by row the same in all five.

    Attributes:
        table: a manifest's columns with ``truth``, ``sha256``, ``probability_<class>``, ``prediction``, ``fault`` and
            ``kind``; index 0…n-1. With a model also ``logit_<class>`` and ``verdict``; with its components
            ``refused``, ``inverted``, ``unfamiliar``, ``lung_faults``, ``view_guess`` and ``view_ap``.
        classes: of the model, in its order.
        target: the class set against the rest.
        headers: a column for each field of :class:`.ImageStatistics`; NaN if an image can't be read.
        features: float32 [n, c], what the network's last layer weighs; None without a model.
        maps: float32 [n, k, h, w], the logits region by region; None without a model.
        lungs: the lungs found on each image; empty if no component segments them.
    """

    __test__: ClassVar[bool] = False  # not a test case, whatever pytest makes of its name

    table: pd.DataFrame
    classes: tuple[str, ...]
    target: str
    headers: pd.DataFrame
    features: Floats32 | None = None
    maps: Floats32 | None = None
    lungs: tuple[LungMask | None, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    def where(self, mask: Mask) -> TestSet:
        """The images under ``mask``, bool [n]."""
        return replace(
            self,
            table=self.table[mask].reset_index(drop=True),
            headers=self.headers[mask].reset_index(drop=True),
            features=None if self.features is None else self.features[mask],
            maps=None if self.maps is None else self.maps[mask],
            lungs=tuple(lungs for lungs, kept in zip(self.lungs, mask, strict=True) if kept) if self.lungs else (),
        )

    @property
    def found(self) -> pd.Series[Any]:
        """The lungs found on each image; None if they weren't looked for or it can't be read."""
        return pd.Series(self.lungs or [None] * len(self), index=self.table.index, dtype=object)

    def crop_of(self, row: int) -> Box | None:
        """The box that the network's input was cut by; None if it saw what its geometry makes of the whole."""
        found = self.lungs[row] if self.lungs else None
        return None if found is None else found.crop

    def with_columns(self, **columns: object) -> TestSet:
        """The same with columns added to the table, or replaced."""
        return replace(self, table=self.table.assign(**columns))  # type: ignore[arg-type]

    @property
    def scored(self) -> TestSet:
        """Without the images that can't be read or have no truth."""
        return self.where((self.has_truth & (self.table[FAULT] == "")).to_numpy(dtype=bool))

    @property
    def denial(self) -> str:
        """The truth of images known only not to be of the target."""
        return NOT + self.target

    @property
    def has_truth(self) -> pd.Series[Any]:
        """The images known to be of a class, or not of the target, bool [n]."""
        return self.table[TRUTH].isin((*self.classes, self.denial))

    @property
    def outcomes(self) -> Outcomes:
        """Of the images with a prediction and a truth."""
        return Outcomes.of(self.table, self.classes, self.target, self.denial)

    @property
    def positive(self) -> Mask:
        """Truly of the target class, bool [n]."""
        return (self.table[TRUTH] == self.target).to_numpy(dtype=bool)

    @cached_property
    def sample(self) -> Sample:
        """The images as figures of the target are estimated from."""
        return Sample(self.patient, self.positive, self.target)

    @property
    def score(self) -> Floats:
        """Probability of the target class, float [n]."""
        return self.table[probability_column(self.target)].to_numpy(dtype=np.float64)

    @cached_property
    def patient(self) -> np.ndarray:
        """A number for each patient, told apart within the source, int [n]."""
        keys = self.table["source"].astype(str) + "/" + self.table["patient"].astype(str)
        return pd.factorize(keys)[0].astype(np.int64)

    @property
    def views(self) -> NDArray[np.str_]:
        """AP or PA of each image, as the manifest states it or else as it was guessed; empty where neither does."""
        if "view" not in self.table:
            return np.full(len(self), "")
        stated = self.table["view"].map(STATED_VIEWS).fillna("").to_numpy(dtype=str)
        if VIEW_GUESS not in self.table:
            return np.asarray(stated)
        return np.where(stated == "", self.table[VIEW_GUESS].fillna("").to_numpy(dtype=str), stated)

    def of_kind(self, kind: str) -> Mask:
        """The images whose source is of this kind, bool [n]."""
        return (self.table[KIND] == kind).to_numpy(dtype=bool)

    def one_sided(self, kind: str) -> dict[str, bool]:
        """The sources of a kind that hold images of the target alone (True), or of other classes alone (False)."""
        of_kind = self.of_kind(kind)
        sides = pd.Series(self.positive[of_kind]).groupby(self.table["source"][of_kind].to_numpy(dtype=str))
        return {str(source): bool(side.iloc[0]) for source, side in sides if side.nunique() == 1}

    def groups(self) -> Iterator[tuple[str, str, TestSet]]:
        """(kind, source, its images), kind by kind: its sources together, then each alone.

        They aren't put together where one holds images of the target alone, or none: such figures would be those of
        telling sources apart.
        """
        for kind, source, mask in self.group_masks():
            if source != ALL_SOURCES or not self.one_sided(kind):
                yield kind, source, self.where(mask)

    def by_source(self) -> Iterator[tuple[str, str, TestSet]]:
        """(kind, source, its images) for every source, internal ones first."""
        return ((kind, source, self.where(mask)) for kind, source, mask in self.group_masks(together=False))

    def group_masks(self, *, together: bool = True) -> Iterator[tuple[str, str, Mask]]:
        """(kind, source, bool [n]) for every source, internal ones first.

        With ``together`` a kind's several sources come first as one, named :data:`ALL_SOURCES`.
        """
        for kind in KINDS:
            of_kind = self.of_kind(kind)
            sources = sorted(set(self.table["source"][of_kind]))
            if together and len(sources) > 1:
                yield kind, ALL_SOURCES, of_kind
            for source in sources:
                yield kind, source, of_kind & (self.table["source"] == source).to_numpy(dtype=bool)
