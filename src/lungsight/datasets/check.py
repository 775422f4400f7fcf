"""What a manifest holds and what is wrong with it: counts, unreadable files, copies, and leaks of its split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lungsight._text import counted, listed
from lungsight.datasets.duplicates.fingerprints import Progress, fingerprint_manifest, silent
from lungsight.datasets.duplicates.search import DuplicatePair, Kind, find_duplicates
from lungsight.datasets.leakage import Leak, find_leaks
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError, SplitLeakageError, UnreadableImageError

#: The youngest age of each group after the first, in years, and the groups' names.
_AGE_LIMITS = (6, 18, 40, 65)
AGE_GROUPS = ("0–5", "6–17", "18–39", "40–64", "65+")
UNKNOWN = "unknown"
_PLURALS = {"patient": "patients", "study": "studies", "image": "images"}


@dataclass(frozen=True, eq=False)
class Check:
    """What was found in ``manifest``.

    Attributes:
        counts: images by label, source, view and age group: property to value to number.
        unreadable: files that can't be read, in the manifest's order.
        pairs: images that are the same; rows of the manifest.
        leaks: what is on several sides of the split.
    """

    manifest: Manifest
    counts: Mapping[str, Mapping[str, int]]
    unreadable: Sequence[UnreadableImageError]
    pairs: Sequence[DuplicatePair]
    leaks: Sequence[Leak]

    @property
    def exit_status(self) -> int:
        """4 when the split leaks, 3 when one image has two labels, 1 when files can't be read, else 0."""
        if self.leaks:
            return SplitLeakageError.exit_status
        if self.two_labels():
            return ManifestError.exit_status
        return UnreadableImageError.exit_status if self.unreadable else 0

    @property
    def sentence(self) -> str:
        """What would make a result wrong, for the end of a check; empty where nothing was found."""
        said = (self._leaking(), self._copied(), self._of_one_patient(), self._mislabelled(), self._unread())
        return " ".join(part for part in said if part)

    def _leaking(self) -> str:
        found = Counter(leak.what for leak in self.leaks)
        names = [f"{n:,} {what if n == 1 else _PLURALS[what]}" for what, n in found.items()]
        are = "is" if found.total() == 1 else "are"
        return f"{listed(names)} {are} on several sides of the split: a test would look too good." if names else ""

    def _copied(self) -> str:
        if not self.pairs:
            return ""
        sources = self.manifest.table["source"]
        between = sum(sources[pair.first] != sources[pair.second] for pair in self.pairs)
        hold = "holds" if len(self.pairs) == 1 else "hold"
        of_two = f", {between:,} of them from two sources" if between else ""
        to_do = "" if self._is_split else ": a split must keep both on one side"
        return f"{counted(len(self.pairs), 'pair')} of files {hold} the same image{of_two}{to_do}."

    def _of_one_patient(self) -> str:
        images = self.manifest.patient_key[self.manifest.has_patient].value_counts()
        several = int((images > 1).sum())
        if self._is_split or not several:
            return ""
        return f"{several:,} of {len(images):,} patients have several images: split by patient."

    def _mislabelled(self) -> str:
        pairs = len(self.two_labels())
        have = "has" if pairs == 1 else "have"
        return f"{counted(pairs, 'pair')} of the same image {have} two labels." if pairs else ""

    def _unread(self) -> str:
        return f"{counted(len(self.unreadable), 'file')} can't be read." if self.unreadable else ""

    @property
    def _is_split(self) -> bool:
        return bool((self.manifest.table["split"] != "").any())

    def cross_table(self) -> pd.DataFrame:
        """Return images by source (rows) and label (columns), with a row for each view of a source if any is known.

        Index: source, or source and view; ``unknown`` where there is none.
        """
        table = self.manifest.table
        rows = ["source", "view"] if (table["view"] != "").any() else ["source"]
        shown = table[[*rows, "label"]].replace("", UNKNOWN)
        return shown.groupby([*rows, "label"]).size().unstack(fill_value=0)

    @property
    def known_patients(self) -> int:
        """The number of patients that the table names."""
        return int(self.manifest.patient_key[self.manifest.has_patient].nunique())

    def two_labels(self) -> list[str]:
        """Return a sentence for each pair of files with the same bytes or pixels and two labels."""
        paths, labels = self.manifest.table["path"], self.manifest.table["label"]
        return [
            f"{paths[pair.first]} is labelled {labels[pair.first]} and {paths[pair.second]} {labels[pair.second]}: "
            f"{pair.kind}."
            for pair in self.pairs
            if pair.kind in (Kind.IDENTICAL_FILE, Kind.IDENTICAL_PIXELS) and labels[pair.first] != labels[pair.second]
        ]

    def pairs_by_place(self) -> dict[tuple[str, str], Counter[str]]:
        """Return the number of pairs of each kind, within each source and between two."""
        sources = self.manifest.table["source"]
        found: dict[tuple[str, str], Counter[str]] = {}
        for pair in self.pairs:
            one, other = sorted((str(sources[pair.first]), str(sources[pair.second])))
            found.setdefault((one, other), Counter())[pair.kind] += 1
        return dict(sorted(found.items()))

    def pairs_table(self) -> pd.DataFrame:
        """Return one row per pair: kind, similarity, and of both files source, patient, label and split."""
        columns = ["path", "source", "patient", "label", "split"]
        sides = [
            self.manifest.table.loc[rows, columns].reset_index(drop=True).add_prefix(f"{name}_")
            for name, rows in (
                ("first", [pair.first for pair in self.pairs]),
                ("second", [pair.second for pair in self.pairs]),
            )
        ]
        how = pd.DataFrame(
            {"kind": [str(p.kind) for p in self.pairs], "similarity": [p.similarity for p in self.pairs]}
        )
        return pd.concat([how, *sides], axis=1)

    def to_json(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        paths = self.manifest.table["path"]
        return {
            "images": len(self.manifest),
            "patients": int(self.manifest.patient_key.nunique()),
            "patients_known": self.known_patients,
            "images_without_patient": int((~self.manifest.has_patient).sum()),
            "by_source_and_label": self.cross_table().reset_index().to_dict("records"),
            "two_labels": self.two_labels(),
            "notices": list(self.manifest.notices),
            "counts": {name: dict(values) for name, values in self.counts.items()},
            "sentence": self.sentence,
            "unreadable": [{"file": f.subject, "fault": f.problem, "cure": f.hint} for f in self.unreadable],
            "duplicates": [
                {
                    "first": paths[pair.first],
                    "second": paths[pair.second],
                    "kind": str(pair.kind),
                    "similarity": pair.similarity,
                }
                for pair in self.pairs
            ],
            "leaks": [
                {"what": leak.what, "sides": list(leak.sides), "files": list(leak.files), "sentence": str(leak)}
                for leak in self.leaks
            ],
        }


def check_manifest(
    manifest: Manifest, *, cache: Path | None = None, reading: Progress = silent, comparing: Progress = silent
) -> Check:
    """Read every image of ``manifest``, compare each with all, and look for leaks.

    Args:
        manifest: the images.
        cache: where fingerprints are kept; the user's cache folder if not given.
        reading: called with the progress of reading.
        comparing: called with the progress of comparing.
    """
    fingerprints = fingerprint_manifest(manifest, cache=cache, progress=reading)
    pairs = find_duplicates(fingerprints, simulated=list(manifest.is_simulated), progress=comparing)
    unreadable = list(fingerprints.problems.values())
    return Check(manifest, counts_of(manifest), unreadable, pairs, find_leaks(manifest, pairs))


def counts_of(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Return images by label, source, view and age group; the most frequent first, age groups from young to old."""
    table = manifest.table
    counts = {
        column: {str(value) or UNKNOWN: int(n) for value, n in table[column].value_counts().items()}
        for column in ("label", "source", "view")
    }
    groups = age_groups(table["age"])
    ages = {group: int((groups == group).sum()) for group in (*AGE_GROUPS, UNKNOWN)}
    return {**counts, "age group": {group: n for group, n in ages.items() if n}}


def age_groups(ages: pd.Series) -> pd.Series:
    """Return the group of each age in years."""
    names = np.array([*AGE_GROUPS, UNKNOWN], dtype=object)
    places = np.where(ages.isna(), len(AGE_GROUPS), np.searchsorted(_AGE_LIMITS, ages.fillna(0.0), side="right"))
    return pd.Series(names[places], index=ages.index)
