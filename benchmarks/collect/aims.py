"""What the released model is to reach, and where an evidence report has the figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lungsight.evaluation.audits import localization

RELEASED, HELD_OUT = "released", "held out"
TARGET, NORMAL = "{target}", "no_pneumonia"
TO_COMPARE = "to compare with"


@dataclass(frozen=True)
class Aim:
    """One aim.

    Attributes:
        words: the aim as the table states it.
        table: a section's table, or an audit by its name.
        where: columns, and the values of which a row must have one; ``{target}`` is the report's target.
        least: what the figure must reach. With neither ``least`` nor ``most`` it is there to compare others with.
        most: what it must not exceed.
        of: which models the aim is for.
    """

    words: str
    table: str
    where: Mapping[str, tuple[str, ...]]
    least: float | None = None
    most: float | None = None
    of: tuple[str, ...] = (RELEASED, HELD_OUT)

    @property
    def wanted(self) -> str:
        """The aim as a short text."""
        if self.least is not None:
            return f"at least {self.least:g}"
        return TO_COMPARE if self.most is None else f"at most {self.most:g}"

    def met(self, figure: float | None) -> str:
        """``yes`` or ``no``; empty without a figure or without an aim."""
        if figure is None or self.wanted == TO_COMPARE:
            return ""
        reached = figure >= self.least if self.least is not None else figure <= (self.most or 0)
        return "yes" if reached else "no"

    def worst(self, row: Mapping[str, Any]) -> float | None:
        """The interval's end that is farther from the aim; None without an interval."""
        end: float | None = row["low"] if self.least is not None else row["high"]
        return end


def _where(**columns: str | tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: value if isinstance(value, tuple) else (value,) for name, value in columns.items()}


_INTERNAL, _EXTERNAL = _where(kind="internal"), _where(kind="external")
_SIIM = _where(source="siim", scope=TARGET, against=NORMAL, metric="auroc")
_IEEE = _where(source="ieee8023", scope=TARGET, against="other_pneumonia")
_BOXES = _where(source="siim", region="lesions")
_ONE, _LOOKS = "one_against_one", localization.SPEC.name

AIMS = (
    Aim("AUROC Typical against Negative within siim, other patients", _ONE, _INTERNAL | _SIIM, 0.94, of=(RELEASED,)),
    Aim("AUROC Typical against Negative, siim held out whole", _ONE, _EXTERNAL | _SIIM, 0.85, of=(HELD_OUT,)),
    Aim(
        "AUROC COVID-19 against other pneumonia within ieee8023, other patients",
        _ONE, _INTERNAL | _IEEE | _where(metric="auroc"), 0.85, of=(RELEASED,),
    ),
    Aim(
        "AUROC COVID-19 against other pneumonia within the shared sites of ieee8023, other patients",
        _ONE, _INTERNAL | _IEEE | _where(metric="auroc_within_site"), 0.75, of=(RELEASED,),
    ),
    Aim("AUROC COVID-19 against the rest within each source", "metrics", _where(scope=TARGET, metric="auroc")),
    Aim(
        "gap between pooled and mean within-source AUROC",
        "within_and_pooled", _where(metric="auroc_pooled_minus_within_source"), most=0.05,
    ),
    Aim(
        "sensitivity at the shipped threshold, source held out",
        "decision", _EXTERNAL | _where(rule="threshold", metric="sensitivity"), 0.85, of=(HELD_OUT,),
    ),
    Aim(
        "specificity at the shipped threshold, source held out",
        "decision", _EXTERNAL | _where(rule="threshold", metric="specificity"), 0.80, of=(HELD_OUT,),
    ),
    Aim("ECE of COVID-19 after recalibration", "calibration", _where(metric="ece", scope=TARGET), most=0.05),
    Aim("ECE of the most probable class", "calibration", _where(metric="ece", scope="all classes"), most=0.05),
    Aim("ECE that chance gives a calibrated model", "calibration", _where(metric="ece_if_calibrated", scope=TARGET)),
    Aim("pointing game on siim's boxes", _LOOKS, _BOXES | _where(metric="pointing_game"), 0.75),
    Aim("pointing: one fixed place", _LOOKS, _BOXES | _where(metric="pointing_at_fixed_place")),
    Aim("pointing: less the fixed place", _LOOKS, _BOXES | _where(metric="pointing_minus_fixed_place")),
    Aim("pointing: by lot, in the image", _LOOKS, _BOXES | _where(metric="area")),
    Aim("pointing: by lot, in what the network sees", _LOOKS, _BOXES | _where(metric="area_in_view")),
    Aim("share of the heat inside siim's boxes", _LOOKS, _BOXES | _where(metric="heat_inside"), 0.50),
    Aim("heat inside: of a map that doesn't look", _LOOKS, _BOXES | _where(metric="guess_heat_inside")),
    Aim(
        "normal radiographs of a held-out source called normal",
        "metrics", _EXTERNAL | _where(scope=NORMAL, metric="sensitivity"), 0.90, of=(HELD_OUT,),
    ),
    Aim(
        "normal radiographs that scanning says are normal",
        "verdicts", _where(truth=NORMAL, metric=f"verdict_{NORMAL}"),
    ),
    Aim(
        "real radiographs that the gate would refuse",
        "safeguards", _where(metric="refused", truth="every class"), most=0.02,
    ),
)  # fmt: skip
