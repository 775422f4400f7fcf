"""A test's images: what is known of each, and what the model said of it. What every part of the report reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from lungsight.components.lungs import Box
from lungsight.datasets.spellings import NOT
from lungsight.evaluation.testset.lung_masks import LungMask
from lungsight.statistics.outcomes import FAULT, TRUTH, Floats, Floats32, Mask, Outcomes, probability_column

#: The column that says how the model stands to an image's source.
KIND = "kind"
#: The model was trained on other patients of the source; it never saw the source; nobody said which.
INTERNAL, EXTERNAL, UNSTATED = "internal", "external", "unstated"
KINDS = (INTERNAL, EXTERNAL, UNSTATED)
#: Columns that a package's gate, measure of familiarity and lung fields add where it holds them: why the gate would
#: refuse the image (empty where it wouldn't), whether it took it for a negative; whether the image is unlike anything
#: in training; why its lungs aren't two plausible ones.
REFUSED, INVERTED, UNFAMILIAR, LUNG_FAULTS = "refused", "inverted", "unfamiliar", "lung_faults"


@dataclass(frozen=True, eq=False)
class TestSet:
    """Images with a truth and a judgement, row by row the same in all five.

    Attributes:
        table: a manifest's columns with ``truth``, ``sha256``, ``probability_<class>``, ``prediction``, ``problem``
            and ``kind``; index 0…n-1. ``logit_<class>`` where there is a model; ``refused``, ``inverted``,
            ``unfamiliar`` and ``lung_faults`` where it brings who can say them.
        classes: of the model, in its order.
        target: the class set against the rest.
        headers: a column for each field of :class:`.ImageStatistics`; NaN where it can't
            be read.
        features: float32 [n, c], what the network's last layer weighs; None without a model.
        maps: float32 [n, k, h, w], the logits region by region; None without a model.
        lungs: the lung fields found on each image; empty where nobody looked for any.
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
        """The lung fields found on each image, None where nobody looked or it couldn't be read."""
        return pd.Series(self.lungs or [None] * len(self), index=self.table.index, dtype=object)

    def crop_of(self, row: int) -> Box | None:
        """The box that the network's input was cut by; None where it saw what its geometry says of the whole."""
        found = self.lungs[row] if self.lungs else None
        return None if found is None else found.crop

    def was_inverted(self, row: int) -> bool:
        """Whether the network was shown the image's negative, since the gate took it for one."""
        return INVERTED in self.table and bool(self.table[INVERTED].iloc[row])

    def with_columns(self, **columns: object) -> TestSet:
        return replace(self, table=self.table.assign(**columns))  # type: ignore[arg-type]

    @property
    def scored(self) -> TestSet:
        """Without the images that couldn't be read or have no truth."""
        return self.where((self.has_truth & (self.table[FAULT] == "")).to_numpy(dtype=bool))

    @property
    def denial(self) -> str:
        """The truth of images of which no more is known than that they aren't of the target."""
        return NOT + self.target

    @property
    def has_truth(self) -> pd.Series[Any]:
        """bool [n]: the images known to be of a class, or not of the target."""
        return self.table[TRUTH].isin((*self.classes, self.denial))

    @property
    def outcomes(self) -> Outcomes:
        """Of the images that were judged."""
        return Outcomes.of(self.table, self.classes, self.target, self.denial)

    @property
    def positive(self) -> Mask:
        """bool [n]: truly of the target class."""
        return (self.table[TRUTH] == self.target).to_numpy(dtype=bool)

    @property
    def score(self) -> Floats:
        """float [n]: probability of the target class."""
        return self.table[probability_column(self.target)].to_numpy(dtype=np.float64)

    @property
    def patient(self) -> np.ndarray:
        """int [n]: a number for each patient, told apart within the source."""
        keys = self.table["source"].astype(str) + "/" + self.table["patient"].astype(str)
        return pd.factorize(keys)[0].astype(np.int64)

    def by_source(self) -> Iterator[tuple[str, str, TestSet]]:
        """(kind, source, its images) for every source, internal ones first."""
        for kind in KINDS:
            of_kind = (self.table[KIND] == kind).to_numpy()
            for source in sorted(set(self.table["source"][of_kind])):
                yield kind, source, self.where(of_kind & (self.table["source"] == source).to_numpy())
