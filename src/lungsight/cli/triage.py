"""``lungsight triage``: findings in order of urgency."""

from __future__ import annotations

import csv as csv_tables
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.table import Table
from rich.text import Text

from lungsight import RESEARCH_ONLY
from lungsight._files import atomic_write
from lungsight.cli import output
from lungsight.errors import LungsightError
from lungsight.triage import WorklistEntry, load_rule, read_cases, worklist
from lungsight.triage.cases import Case
from lungsight.triage.rule import own_rule

MAX_ROWS = 50
STDOUT = Path("-")
_COLUMNS = ["rank", "file", "verdict", "points", "hours_waited", "overdue", "why"]
_COLUMNS += ["study_instance_uid", "accession_number", "images", "model", "model_grade"]


def command(
    findings: Annotated[Path | None, typer.Argument(help="What `lungsight scan --json` wrote.")] = None,
    rule: Annotated[
        Path | None,
        typer.Option(help="A rule of your own, in TOML.", metavar="FILE", show_default="lungsight's own"),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write the whole list as a table; '-' is standard output.", metavar="FILE")
    ] = None,
    target: Annotated[str, typer.Option(help="The class that weighs as the target.")] = "covid19",
    at: Annotated[
        datetime | None, typer.Option(help="Count waiting times up to this moment (UTC).", show_default="now")
    ] = None,
    show_rule: Annotated[
        bool, typer.Option("--show-rule", help="Print lungsight's own rule with its sources, to copy and change.")
    ] = False,
) -> None:
    """Put studies in order of urgency: by what was found, how sure that is, age and projection.

    A study ranks by its most urgent image, which is named. A study that has waited longer than the rule allows goes
    to the front. Each rank has its reason. Nothing here replaces the order in which a clinic treats its patients.

    Example: [bold]lungsight triage findings.jsonl --csv worklist.csv[/bold]
    """
    if show_rule:
        print(own_rule(), end="")
        return
    if findings is None:
        raise typer.BadParameter("Give what `lungsight scan --json` wrote.", param_hint="FINDINGS")
    stated = load_rule(rule)
    if csv is not None:
        _refuse_overwriting(csv, (findings, rule))
    cases = read_cases(findings, say=lambda sentence: print(sentence, file=sys.stderr))
    _refuse_unknown(target, cases)
    entries = worklist(cases, stated, now=(at or datetime.now(UTC)).replace(tzinfo=UTC), target=target)
    console = output.console(stderr=csv == STDOUT)
    if csv == STDOUT:
        output.write_utf8_to_stdout()
        _write(sys.stdout, entries)
    elif csv is not None:
        with atomic_write(csv, "w") as file:
            _write(file, entries)
    for sentence in dict.fromkeys(_of_model(case) for case in cases):
        console.print(Text(sentence, style="yellow"))
    console.print(_table(entries[:MAX_ROWS]))
    if (more := len(entries) - MAX_ROWS) > 0:
        output.say(console, f"… and {more:,} more: --csv has them all.")
    console.print(Text(f"Rule: {stated.name}. {RESEARCH_ONLY}"))


def _of_model(case: Case) -> str:
    """What a list by this model is worth, which its reader must know first."""
    if case.model_grade is None:
        return f"Model {case.model}: no evidence report says how it does on images that it never saw."
    return f"Model {case.model}: its evidence report says {case.model_grade}."


def _table(entries: list[WorklistEntry]) -> Table:
    rows = (
        (entry.rank, entry.case.file, Text(entry.why, style="bold" if entry.overdue else "")) for entry in entries
    )
    made = output.table(("rank", "file", "why"), rows, numbers=["rank"], padding=(0, 2, 0, 0))
    made.columns[1].ratio, made.columns[2].ratio = 1, 2
    return made


def _refuse_overwriting(csv: Path, read: tuple[Path | None, ...]) -> None:
    if csv == STDOUT:
        return
    if csv.exists() and not csv.is_file():
        raise LungsightError(csv, "is a folder or a device", "give --csv the path of a file")
    if any(one is not None and csv.resolve() == one.resolve() for one in read):
        raise LungsightError(csv, "is read here and would be overwritten", "name another file")


def _refuse_unknown(target: str, cases: list[Case]) -> None:
    classes = sorted({name for case in cases for name in case.probabilities})
    if classes and target not in classes:
        raise LungsightError(target, "isn't a class of these findings", f"give --target one of {', '.join(classes)}")


def _write(file: IO[str], entries: list[WorklistEntry]) -> None:
    writer = csv_tables.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in entries:
        waited = None if entry.hours_waited is None else round(entry.hours_waited, 2)
        row = [entry.rank, entry.case.file, entry.case.verdict, round(entry.points, 2), waited]
        case = entry.case
        row += [entry.overdue, entry.why, case.study, case.accession_number, entry.images, case.model]
        writer.writerow([*row, case.model_grade])
