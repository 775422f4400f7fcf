"""What a run found: figures, audits, the grade."""

from __future__ import annotations

from importlib.metadata import metadata

from lungsight import __version__
from lungsight._text import as_words
from lungsight.evaluation.audits.audit import Audit, AuditResult
from lungsight.evaluation.audits.registry import AUDITS
from lungsight.evaluation.evidence import Evidence
from lungsight.reporting.checklists.answer import (
    KIND_WORDS,
    ItemAnswer,
    by_source,
    section_rows,
    sentence,
    target_rows,
    title,
)
from lungsight.reporting.evidence_text import deciding
from lungsight.reporting.page_tables import INTERVALS
from lungsight.statistics.outcomes import FAULT, PREDICTION

_ESTIMATES = ("metrics", "calibration", "decision")
#: Audits of the heatmap: what CLAIM asks for when it asks how an explanation was validated.
_OF_THE_HEATMAP = frozenset(audit.name for audit in AUDITS if audit.of_heatmap)


def goal(evidence: Evidence) -> ItemAnswer:
    """What the evaluation is for."""
    subject = evidence.subject
    kinds = [KIND_WORDS[kind] for kind in dict.fromkeys(kind for kind, _, _ in evidence.testset.by_source())]
    text = (
        f"To test how well {subject.model} tells {as_words(subject.target)} from the rest (sources: "
        f"{', '.join(kinds)}), and what its score rests on."
    )
    return ItemAnswer(text, "evidence.json, subject", "the study's own aims and hypotheses")


def metrics(evidence: Evidence) -> ItemAnswer:
    """The metrics given, and the tables that hold them."""
    given = {name: rows for name in _ESTIMATES if (rows := section_rows(evidence, name))}
    names = dict.fromkeys(title(row.estimate.name) for rows in given.values() for row in rows)
    return ItemAnswer(f"{', '.join(names)}.", ", ".join(f"tables/{name}.csv" for name in given))


def uncertainty(evidence: Evidence) -> ItemAnswer:
    """How intervals were computed."""
    r = evidence.resampling
    used = {row.estimate.interval for name in _ESTIMATES for row in section_rows(evidence, name)}
    kinds = ", ".join(name for kind, name in INTERVALS.items() if kind in used)
    text = (
        f"{r.level:.0%} intervals; those by resampling draw patients with all their images, {r.replicates:,} times, "
        f"seed {r.seed}. Kinds of interval in the tables, named beside each figure: {kinds or 'none'}. A figure that "
        "the sample can't give is withheld with the reason."
    )
    return ItemAnswer(text, "evidence.json, settings")


def clusters(evidence: Evidence) -> ItemAnswer:
    """How images of several sources were treated."""
    text = "Every figure is given for each source by itself; internal and external images are never pooled."
    compared = bool(section_rows(evidence, "within_and_pooled"))
    more = " The pooled AUROC is given beside the one within sources." if compared else ""
    return ItemAnswer(text + more, "tables/metrics.csv" + ("; tables/within_and_pooled.csv" if more else ""))


def robustness(evidence: Evidence) -> ItemAnswer | None:
    """The audits, but those of the heatmap."""
    return _audits([a for a in _done(evidence) if a.name not in _OF_THE_HEATMAP])


def explanation(evidence: Evidence) -> ItemAnswer | None:
    """How the heatmap is made, and what its audits found."""
    if evidence.subject.description is None:
        return None
    text = "The heatmap is part of the forward pass: each class's logit is the mean of its map plus a bias. "
    found = _audits([a for a in _done(evidence) if a.name in _OF_THE_HEATMAP])
    if found is None:
        return ItemAnswer(text.strip(), "network.onnx", "how the heatmaps were validated; this run didn't")
    return ItemAnswer(text + found.text, f"network.onnx; {found.source}")


def performance(evidence: Evidence) -> ItemAnswer | None:
    """Discrimination by source, with what the subgroups showed."""
    rows = target_rows(evidence, "metrics", "auroc", "sensitivity", "specificity")
    if not rows:
        return None
    text = f"{as_words(evidence.subject.target)} against the rest. {sentence(by_source(rows))}"
    subgroups = " ".join(evidence.subgroups.sentences)
    more = f" Subgroups: {subgroups}" if subgroups else ""
    return ItemAnswer(text + more, "tables/metrics.csv" + ("; tables/subgroups.csv" if more else ""))


def diagnostic_performance(evidence: Evidence) -> ItemAnswer | None:
    """Predictive values, the figures at the thresholds, and calibration."""
    parts = {
        "metrics": ("Predictive values", "ppv", "npv"),
        "decision": ("At the thresholds", "sensitivity", "specificity"),
        "calibration": ("Calibration", "calibration_intercept", "calibration_slope", "ece"),
    }
    given = {
        name: f"{heading}: {sentence(by_source(rows))}"
        for name, (heading, *figures) in parts.items()
        if (rows := target_rows(evidence, name, *figures))
    }
    source = "; ".join(f"tables/{name}.csv" for name in given)
    return ItemAnswer(" ".join(given.values()), source) if given else None


def heterogeneity(evidence: Evidence) -> ItemAnswer | None:
    """The AUROC of each source."""
    rows = target_rows(evidence, "metrics", "auroc")
    return ItemAnswer(f"By source: {sentence(by_source(rows))}", "tables/metrics.csv") if rows else None


def fairness(evidence: Evidence) -> ItemAnswer:
    """What the subgroups showed."""
    text = " ".join(evidence.subgroups.sentences)
    return ItemAnswer(text, "tables/subgroups.csv; tables/gaps.csv", "what was done about it, and why")


def wrong_results(evidence: Evidence) -> ItemAnswer:
    """How many were missed and how many predicted wrongly, by source."""
    target = evidence.subject.target
    name, clauses = as_words(target), []
    for kind, source, images in evidence.testset.scored.by_source():
        predicted = (images.table[PREDICTION] == target).to_numpy()
        positive = images.positive
        missed, wrongly = int((positive & ~predicted).sum()), int((~positive & predicted).sum())
        clauses.append(
            f"{source} ({KIND_WORDS[kind]}): {missed:,} of {int(positive.sum()):,} with {name} missed, "
            f"{wrongly:,} of {int((~positive).sum()):,} without it predicted to have it"
        )
    text = f"By the most probable class, {sentence(clauses)}" if clauses else "No image could be analysed."
    return ItemAnswer(text, "predictions.csv", "what the wrong results have in common")


def limitations(evidence: Evidence) -> ItemAnswer:
    """The grade with its reasons, the notices, and what is withheld."""
    withheld = [text for section in evidence.sections for text in section.withheld]
    decided = [f"{reason}" for reason in deciding(evidence.verdict)]
    texts = dict.fromkeys((_grade(evidence), *decided, *evidence.notices, *withheld))
    return ItemAnswer(" ".join(texts), "evidence.json, verdict and notices", "the study's own limitations")


def implications(evidence: Evidence) -> ItemAnswer:
    """The grade."""
    return ItemAnswer(_grade(evidence), "evidence.json, verdict", "what follows for practice, beside earlier studies")


def technical_details(evidence: Evidence) -> ItemAnswer | None:
    """The command that repeats the run."""
    if not evidence.command:
        return None
    return ItemAnswer(f"The run is repeated by `{evidence.command}`.", "evidence.json, command", "the study protocol")


def code(evidence: Evidence) -> ItemAnswer:
    """Version and licence of the software."""
    licence = metadata("lungsight").json.get("license_expression", "not stated")
    repeated = f" The run is repeated by `{evidence.command}`." if evidence.command else ""
    text = f"lungsight {__version__}, licence {licence}.{repeated}"
    rest = "whether and where your code and model are available"
    return ItemAnswer(text, "the installed package; evidence.json, command", rest)


def poor_input(evidence: Evidence) -> ItemAnswer | None:
    """What the software does with images that it can't analyse."""
    if evidence.subject.description is None:
        return None
    images = evidence.testset.table
    text = (
        "lungsight refuses an image that it can't read as one frontal chest radiograph and says why. "
        f"Here {int((images[FAULT] != '').sum()):,} of {len(images):,} images couldn't be analysed."
    )
    return ItemAnswer(text, "evidence.json, images", "what users should do with a refused image")


def _grade(evidence: Evidence) -> str:
    verdict = evidence.verdict
    return f"Grade: {verdict.grade}. {verdict.sentence} Shortcut: {verdict.shortcut}. {verdict.shortcut_sentence}"


def _done(evidence: Evidence) -> list[Audit]:
    return [audit for audit in evidence.audits if audit.call is not AuditResult.NOT_DONE]


def _audits(audits: list[Audit]) -> ItemAnswer | None:
    if not audits:
        return None
    text = " ".join(f"{audit.words.capitalize()} ({audit.call}): {audit.meaning}" for audit in audits)
    return ItemAnswer(text, "; ".join(f"tables/{audit.stem}.csv" for audit in audits))
