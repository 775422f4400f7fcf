"""Assign images to training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def split_by_image(images: int, *, validation: float, test: float, seed: int) -> NDArray[np.object_]:
    """Assign single images at random, as the March 2020 article did. Leaks wherever a patient has several."""
    order = np.random.default_rng(seed).permutation(images)
    n_validation, n_test = round(images * validation), round(images * test)
    sides = np.full(images, TRAIN, dtype=object)
    sides[order[:n_validation]] = VALIDATION
    sides[order[n_validation : n_validation + n_test]] = TEST
    return sides


def split_by_group(
    groups: Sequence[int] | NDArray[np.int_], strata: Sequence[str], *, validation: float, test: float, seed: int
) -> NDArray[np.object_]:
    """Assign whole groups (patients, with all that is linked to them), within each stratum (class and source).

    A group of several strata counts in that of its first image. Groups go in random order to the side that lacks most
    of its share of images; a stratum of one group goes to training.
    """
    table = pd.DataFrame({"group": np.asarray(groups), "stratum": list(strata)})
    per_group = table.groupby("group", sort=True)["stratum"].agg(["first", "size"])
    rng = np.random.default_rng(seed)
    shares = {TRAIN: 1.0 - validation - test, VALIDATION: validation, TEST: test}
    side_of: dict[int, str] = {}
    for _, members in per_group.groupby("first", sort=True):
        shuffled = members.iloc[rng.permutation(len(members))]
        side_of.update(_deal(shuffled["size"], shares))
    return np.array([side_of[group] for group in table["group"]], dtype=object)


def _deal(sizes: pd.Series, shares: dict[str, float]) -> dict[int, str]:
    total = float(sizes.sum())
    given = dict.fromkeys(shares, 0.0)
    sides: dict[int, str] = {}
    # The largest first (ties in shuffled order): a late large group would overshoot a small side.
    for group, size in sizes.sort_values(ascending=False, kind="stable").items():
        wanted = {side: shares[side] * total - given[side] for side in shares if shares[side] > 0}
        side = max(wanted, key=lambda s: wanted[s])
        sides[int(group)] = side  # type: ignore[call-overload]
        given[side] += float(size)
    return sides
