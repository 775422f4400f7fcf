"""What ``lungsight scan`` shows in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lungsight import RESEARCH_ONLY
from lungsight._text import as_words, counted, percent, percent_beside
from lungsight.components.decision import decision_words
from lungsight.inference import INCONCLUSIVE, Detector, Finding, Status
from lungsight.reading.no_image import MAY_HOLD_IMAGES

#: More rows than this nobody reads in a terminal.
MAX_ROWS = 100
MAX_WARNINGS = 8

#: Columns of text from which there is room for the probability of every class, not of the target alone.
WIDE = 110


class ScanTable:
    """Collects rows, then prints them with the totals.

    Attributes:
        counts: the number of findings by status.
        already_there: files that an earlier scan had done.
        failed_before: how many of these could not be read.
        passed_over: files in folders and archives that are no images, by kind.
    """

    def __init__(self, detector: Detector) -> None:
        self.counts: Counter[Status] = Counter()
        self.already_there = 0
        self.failed_before = 0
        self.passed_over: Counter[str] = Counter()
        self._decisions: Counter[str] = Counter()
        self._detector = detector
        self._warnings: Counter[str] = Counter()
        self._findings: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it as a row while there is room."""
        self.counts[finding.status] += 1
        self._decisions[finding.decision or "not readable"] += 1
        self._warnings.update(set(finding.warnings) - set(self._detector.cautions))
        if len(self._findings) < MAX_ROWS:
            self._findings.append(replace(finding, radiograph=None, map=None, lungs=None))

    def print(self, console: Console, quiet: bool) -> None:
        """Print rows and totals; only the totals when ``quiet``."""
        if self.counts or not self.already_there:
            self._print_new(console, quiet)
        if self.already_there:
            files = counted(self.already_there, "more file" if self.counts else "file")
            left = "they and their pictures are left as they are"
            console.print(f"{files} had been done before: {left}.", highlight=False)
        if self.failed_before:
            again = "--restart tries them again"
            console.print(f"{self.failed_before:,} of them could not be read then: {again}.", highlight=False)
        for sentence in _passed_over(self.passed_over):
            console.print(escape(sentence), highlight=False)
        for caution in (*self._detector.cautions, *self._shared_warnings()):
            console.print(f"[yellow]{escape(caution)}[/]", highlight=False)
        console.print(f"[bold]{RESEARCH_ONLY}[/]", highlight=False)

    def _print_new(self, console: Console, quiet: bool) -> None:
        if not quiet:
            console.print(self._table(console.width))
            if (more := self.counts.total() - len(self._findings)) > 0:
                console.print(f"… and {more:,} more: --csv, --json, --parquet and --html have them all.")
        totals = ", ".join(
            f"{count:,} {decision_words(decision, self._detector.target)}"
            for decision, count in self._decisions.most_common()
        )
        files = counted(self.counts.total(), "file")
        console.print(f"{files}: {totals}. Model: {self._detector.model}", highlight=False)
        if self._decisions[INCONCLUSIVE]:
            console.print(self._why_inconclusive(), highlight=False)

    def _why_inconclusive(self) -> str:
        """What holds for every image that is inconclusive, said once."""
        description = self._detector.description
        if description.decision.thresholds is None:
            said = f"the most probable class stays below {percent(description.decision.inconclusive_below)}"
        else:
            low, high = percent_beside(*description.decision.thresholds)
            said = f"the probability of {as_words(description.target)} is at least {low} and below {high}"
        return f"Inconclusive: {said}."

    def _shared_warnings(self) -> Iterator[str]:
        """Warnings about images, each said once with the number of images it holds for."""
        for warning, count in self._warnings.most_common(MAX_WARNINGS):
            yield f"{counted(count, 'file')}: {warning}"
        if len(self._warnings) > MAX_WARNINGS:
            more = len(self._warnings) - MAX_WARNINGS
            yield f"… and {more:,} other warnings: --csv, --json, --parquet and --html have them all."

    def _table(self, width: int) -> Table:
        target, classes = self._detector.description.target, self._detector.description.classes
        shown = classes if width >= WIDE else (target,)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("result", no_wrap=True)
        for name in shown:
            table.add_column(as_words(name), justify="right", no_wrap=True)
        table.add_column("file", overflow="fold", ratio=1)
        for finding in self._findings:
            numbers = [percent(finding.probabilities[name]) if finding.probabilities else "" for name in shown]
            table.add_row(_coloured(finding, target), *numbers, _file_and_reasons(finding))
        return table


def _passed_over(kinds: Counter[str]) -> Iterator[str]:
    """Sentences on the files that are no images, so that none is missing without a word."""
    for may_hold in (True, False):
        some = Counter({kind: count for kind, count in kinds.items() if (kind in MAY_HOLD_IMAGES) is may_hold})
        if not some:
            continue
        listed = ", ".join(_counted(count, kind) for kind, count in some.most_common())
        if may_hold:
            yield f"Not read, though they may hold images: {listed}. Save those as DICOM, PNG, TIFF or JPEG."
        else:
            yield f"Passed over, as they aren't radiographs: {listed}."


def _counted(count: int, kind: str) -> str:
    return f"{count:,} {kind}" if kind.startswith(".") else counted(count, kind)


def _is_unfamiliar(finding: Finding) -> bool:
    return finding.unfamiliarity is not None and finding.unfamiliarity > 1


def _file_and_reasons(finding: Finding) -> str:
    """The file, and why it was refused or can't be read; why images are inconclusive is printed once, at the end."""
    if finding.status is Status.READ:
        unlike = "  [dim]unlike the training images[/]" if _is_unfamiliar(finding) else ""
        return escape(finding.file) + unlike
    reasons = " ".join(finding.reasons).removeprefix(f"{finding.file}: ")
    return escape(finding.file) + (f"  [dim]{escape(reasons)}[/]" if reasons else "")


def _coloured(finding: Finding, target: str) -> str:
    result = escape(finding.words)
    if finding.status is Status.ERROR:
        return f"[red]{result}[/]"
    if finding.status is Status.REFUSED or finding.decision == INCONCLUSIVE:
        return f"[yellow]{result}[/]"
    return f"[bold red]{result}[/]" if finding.decision == target else result
