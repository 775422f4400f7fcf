"""The next steps follow from the findings, and their commands are those of the user's own model and tables."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.grade import Mark, Reason
from lungsight.evaluation.performance import Performance
from lungsight.reporting.next_steps import next_steps

COMMAND = "lungsight evaluate model.zip --data 'my table.csv' --data other.csv --out tested"


def steps(evidence: Evidence, **changed: object) -> dict[str, tuple[str, str]]:
    """Reason and command of each step by what it is."""
    return {step.action: (step.why, step.command) for step in next_steps(replace(evidence, **changed))}


def test_a_source_with_few_patients_lacks_some(evidence: Evidence) -> None:
    why, command = steps(evidence, command=COMMAND)["Test on more images of the same sources"]
    assert "phantom-south: 12 more with COVID-19" in why
    assert shlex.split(command) == shlex.split(COMMAND)


@pytest.mark.parametrize(
    ("value", "low", "high", "needed"), [(0.76, 0.69, 0.83, "about 500"), (0.66, 0.6, 0.72, "about 900")]
)
def test_an_interval_around_the_threshold_needs_more_images(
    evidence: Evidence, value: float, low: float, high: float, needed: str
) -> None:
    """The width of an interval goes with one over the square root of the number of images."""
    first = evidence.verdict.sources[0]
    auroc = replace(first.auroc, value=value, low=low, high=high, positives=180, negatives=180)
    source = replace(first, performance=Performance.FALLS_SHORT, with_target=99, without_target=99, auroc=auroc)
    verdict = replace(evidence.verdict, sources=(source,))
    assert needed in steps(evidence, verdict=verdict)["Test on more images of the same sources"][0]
    surely = replace(
        source, auroc=replace(auroc, low=0.71 if value > 0.7 else 0.6, high=0.83 if value > 0.7 else 0.69)
    )
    sure = steps(evidence, verdict=replace(verdict, sources=(surely,)))
    assert "Test on more images of the same sources" not in sure


def test_after_a_shortcut_the_data_come_first(evidence: Evidence) -> None:
    found = Reason("lungs hidden", "x", "AUROC 0.9", Mark.BAD, is_shortcut=True)
    given = steps(evidence, verdict=replace(evidence.verdict, reasons=(found,)), command=COMMAND)
    action, (why, command) = next(iter(given.items()))
    assert action == "Find out what gives the label away"
    assert "lungs hidden" in why
    assert command == "lungsight data check 'my table.csv'"
    assert "--retrain" in given["Train it again without each of its sources"][1]
    clear = steps(evidence, verdict=replace(evidence.verdict, reasons=()))
    assert action not in clear


def test_one_other_hospital_is_not_enough(evidence: Evidence) -> None:
    action = "Test it on images of another hospital"
    south, *rest = evidence.verdict.sources
    holds = [replace(south, source=name, performance=Performance.HOLDS) for name in ("a", "b")]
    for count, there in ((0, True), (1, True), (2, False)):
        verdict = replace(evidence.verdict, sources=(*holds[:count], *rest))
        assert (action in steps(evidence, verdict=verdict)) is there


def test_predictions_keep_their_table(bare: Evidence) -> None:
    given = steps(bare, command="lungsight evaluate --predictions theirs.csv --data all.csv --out there")
    command = given["State what the model was trained on"][1]
    assert "--predictions theirs.csv --data all.csv --trained-source NAME --out there" in command


@pytest.mark.parametrize("command", ["", COMMAND, "'", "lungsight evaluate --predictions p.csv --data d.csv"])
def test_every_command_is_one_that_lungsight_knows(evidence: Evidence, command: str) -> None:
    """With ``--help`` after it the command line is parsed and nothing runs."""
    from lungsight.cli.root import app

    found = Reason("lungs hidden", "x", "y", Mark.BAD, is_shortcut=True)
    verdict = replace(evidence.verdict, reasons=(found,))
    for step in next_steps(replace(evidence, command=command, verdict=verdict, prevalence=None)):
        words = shlex.split(step.command)
        assert words[0] == "lungsight"
        assert CliRunner().invoke(app, [*words[1:], "--help"]).exit_code == 0, step.command
