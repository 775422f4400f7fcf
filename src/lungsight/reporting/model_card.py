"""The model card (Mitchell et al. 2019) after an evaluation: the grade first, then the figures it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from lungsight._text import as_words
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Row
from lungsight.evaluation.sections import answers
from lungsight.package import markdown
from lungsight.package.model_card import TAGS, as_text, described, front_matter, opening
from lungsight.reporting.checklists.answer import KIND_WORDS, figure, target_rows, title, where
from lungsight.reporting.checklists.checklist import FOR_THE_AUTHORS

_BY_MOST_PROBABLE = ("sensitivity", "specificity", "ppv", "npv")
_CALIBRATION = ("calibration_intercept", "calibration_slope", "ece", "brier_score")
_AT_THRESHOLDS = ("sensitivity", "specificity", "inconclusive", "error_of_decided")
#: The right answers of scanning, as a hub calls their shares, each of one group of images.
_ANSWERED = {
    answers.PREDICTED_POSITIVE: ("sensitivity", answers.WITH),
    answers.PREDICTED_NEGATIVE: ("specificity", answers.WITHOUT),
}
#: What only the people behind a model know.
_ASKED = (
    ("Developed by", "who made the model, and whom to ask"),
    ("Licence", "the terms of the model"),
    ("Ethical considerations", "risks to patients and groups of people, and what was done about them"),
)


def tested_card(evidence: Evidence) -> str:
    """Markdown. What the run doesn't know is left to the authors."""
    subject = evidence.subject
    name = subject.description.name if subject.description else subject.model
    parts = (
        front_matter(subject.description.licence if subject.description else "", **_results(evidence, name)),
        opening(name),
        _grade(evidence),
        *(described(subject.description) if subject.description else (_undescribed(evidence),)),
        _tested_on(evidence),
        _sentences(evidence.answers_title, tuple(each.sentence for each in evidence.answers), "this run gives none"),
        _figures(evidence, "Figures", "metrics", ("auroc",)),
        _figures(evidence, "If the most probable class is taken", "metrics", _BY_MOST_PROBABLE),
        _figures(evidence, "At the thresholds", "decision", _AT_THRESHOLDS),
        _figures(evidence, "Calibration on the test images", "calibration", _CALIBRATION),
        _sentences("Subgroups", evidence.subgroups.sentences, "no subgroup was compared in this run"),
        _audits(evidence),
        _limits(evidence),
        *(_asked(heading, what) for heading, what in _ASKED),
        _repeated(evidence),
    )
    return as_text(parts)


def _grade(evidence: Evidence) -> Iterator[str]:
    verdict = evidence.verdict
    yield f"## Grade: {verdict.grade}"
    yield ""
    yield markdown.cell(verdict.sentence)
    yield ""
    yield f"**Shortcut: {verdict.shortcut}.** {markdown.cell(verdict.shortcut_sentence)}"
    yield ""
    yield from (f"- {markdown.cell(str(reason))}" for reason in verdict.reasons)


def _undescribed(evidence: Evidence) -> Iterator[str]:
    subject = evidence.subject
    yield "## Model"
    yield ""
    yield f"A table of predictions, {markdown.cell(subject.model)}. Classes: {', '.join(subject.classes)}."
    yield ""
    yield f"{FOR_THE_AUTHORS.capitalize()}: the network, the intended use, and what the model was trained on."


def _tested_on(evidence: Evidence) -> Iterator[str]:
    yield "## Tested on"
    yield ""
    target = as_words(evidence.subject.target)
    headings = ("source", "images", "patients", target, "labels rest on")
    yield from markdown.table(headings, _sources(evidence))
    yield ""
    yield f"Tested {evidence.made:%Y-%m-%d}; {target} is set against the rest."


def _sources(evidence: Evidence) -> Iterator[tuple[object, ...]]:
    for kind, source, images in evidence.testset.by_source():
        scored = images.scored
        standards = scored.table.get("reference_standard", pd.Series(dtype=str)).astype(str)
        stated = "; ".join(sorted(set(standards) - {"", "nan"})) or "not stated"
        patients, positives = len(np.unique(scored.patient)), int(scored.positive.sum())
        yield f"{source} ({KIND_WORDS[kind]})", len(scored), patients, positives, stated


def _figures(evidence: Evidence, heading: str, name: str, metrics: tuple[str, ...]) -> Iterator[str]:
    """A table with a row per source and a column per metric."""
    yield f"## {heading}"
    yield ""
    rows = target_rows(evidence, name, *metrics)
    if not rows:
        yield f"{FOR_THE_AUTHORS.capitalize()}: this run gives none."
        return
    shown = [metric for metric in metrics if any(row.estimate.name == metric for row in rows)]
    sources = dict.fromkeys(map(where, rows))
    lines = ((source, *(_cell(rows, source, metric) for metric in shown)) for source in sources)
    yield from markdown.table(("source", *map(title, shown)), lines)
    yield ""
    yield f"Each with its {evidence.resampling.level:.0%} interval and the number of images it is a share of."


def _cell(rows: Iterable[Row], source: str, metric: str) -> str:
    """The figures of a metric at a source, each with the rule it holds for if the table has several."""
    found = [row for row in rows if where(row) == source and row.estimate.name == metric]
    texts = (f"{row.labels['rule']}: {figure(row)}" if row.labels.get("rule") else figure(row) for row in found)
    return "; ".join(dict.fromkeys(texts)) or "not given"


def _audits(evidence: Evidence) -> Iterator[str]:
    yield "## Audits: what the score rests on"
    yield ""
    if not evidence.audits:
        yield f"{FOR_THE_AUTHORS.capitalize()}: no audit was done in this run."
        return
    yield from markdown.table(
        ("audit", "result", "effect", "meaning"),
        (
            (audit.words, audit.call, as_figure(audit.effect) if audit.effect else "none", audit.meaning)
            for audit in evidence.audits
        ),
    )


def _limits(evidence: Evidence) -> Iterator[str]:
    withheld = [sentence for section in evidence.sections for sentence in section.withheld]
    limits = (*evidence.notices, *withheld)
    return _sentences("Limits", limits, "nothing was withheld; the limits of the study itself")


def _sentences(heading: str, sentences: tuple[str, ...], otherwise: str) -> Iterator[str]:
    yield f"## {heading}"
    yield ""
    if sentences:
        yield from (f"- {markdown.cell(sentence)}" for sentence in dict.fromkeys(sentences))
    else:
        yield f"{FOR_THE_AUTHORS.capitalize()}: {otherwise}."


def _asked(heading: str, what: str) -> tuple[str, ...]:
    return f"## {heading}", "", f"{FOR_THE_AUTHORS.capitalize()}: {what}."


def _repeated(evidence: Evidence) -> Iterator[str]:
    yield "## To repeat"
    yield ""
    known = f"`{markdown.cell(evidence.command)}`"
    yield known if evidence.command else f"{FOR_THE_AUTHORS.capitalize()}: the command that made this run."


def _results(evidence: Evidence, name: str) -> dict[str, object]:
    """The figures as a hub reads them (``model-index``), and the grade among the tags, since a list shows no more.

    Figures withheld aren't among them.
    """
    metrics: dict[str, list[dict[str, object]]] = {}
    for row in (*target_rows(evidence, "metrics", "auroc"), *target_rows(evidence, answers.NAME, *_ANSWERED)):
        metric, value = row.estimate.name, row.estimate.value
        right = _ANSWERED.get(metric, ("auroc", None))
        if value is not None and row.labels.get("group") == right[1]:
            stated = {"type": right[0], "name": f"{title(metric)}: {figure(row)}", "value": value}
            metrics.setdefault(where(row), []).append(stated)
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"name": source, "type": "chest-x-ray"},
            "metrics": found,
        }
        for source, found in metrics.items()
    ]
    tags = [*TAGS, f"verdict-{_tag(evidence.verdict.grade)}", f"shortcut-{_tag(evidence.verdict.shortcut)}"]
    return {"tags": tags} | ({"model-index": [{"name": name, "results": results}]} if results else {})


def _tag(words: str) -> str:
    return words.replace(",", "").replace(" ", "-")
