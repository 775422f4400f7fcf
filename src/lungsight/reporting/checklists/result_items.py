"""What a run found out: figures, audits, the verdict."""

from __future__ import annotations

from importlib.metadata import metadata

from lungsight import __version__
from lungsight.evaluation.audits.audit import Audit, AuditResult
from lungsight.evaluation.audits.localization import NAME as WHERE_IT_LOOKS
from lungsight.evaluation.audits.saliency_sanity_check import NAME as WEIGHT_RANDOMISATION
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import as_words
from lungsight.reporting.checklists.answer import ItemAnswer
from lungsight.reporting.checklists.estimates import (
    KIND_WORDS,
    by_place,
    metric_names,
    sentence,
    table,
    target_figures,
)
from lungsight.reporting.evidence_text import deciding
from lungsight.statistics.outcomes import FAULT, PREDICTION

_ESTIMATES = ("metrics", "calibration", "decision")
#: Audits of the heatmap: what CLAIM asks for when it asks how an explanation was validated.
_OF_THE_HEATMAP = (WHERE_IT_LOOKS, WEIGHT_RANDOMISATION)


def goal(evidence: Evidence) -> ItemAnswer:
    subject = evidence.subject
    kinds = [KIND_WORDS[kind] for kind in dict.fromkeys(kind for kind, _, _ in evidence.testset.by_source())]
    text = (
        f"To test how well {subject.model} tells {as_words(subject.target)} from the rest (sources: "
        f"{', '.join(kinds)}), and what its score rests on."
    )
    return ItemAnswer(text, "evidence.json, subject", "the study's own aims and hypotheses")


def metrics(evidence: Evidence) -> ItemAnswer | None:
    names = metric_names(evidence, *_ESTIMATES)
    tables = ", ".join(f"tables/{name}.csv" for name in _ESTIMATES if table(evidence, name, "metric") is not None)
    return ItemAnswer(f"{', '.join(names)}.", tables) if names else None


def uncertainty(evidence: Evidence) -> ItemAnswer:
    r = evidence.resampling
    found = [t["interval"] for name in _ESTIMATES if (t := table(evidence, name, "interval")) is not None]
    methods = list(dict.fromkeys(str(method) for column in found for method in column if method))
    kinds = f" Kinds of interval in the tables, named beside each figure: {', '.join(methods)}." if methods else ""
    text = (
        f"{r.level:.0%} intervals; those by resampling draw patients with all their images, {r.replicates:,} times, "
        f"seed {r.seed}.{kinds} A figure that the sample can't give is withheld with the reason."
    )
    return ItemAnswer(text, "evidence.json, settings")


def clusters(evidence: Evidence) -> ItemAnswer:
    text = "Every figure is given for each source by itself; internal and external images are never pooled."
    compared = table(evidence, "within_and_pooled")
    more = " The pooled AUROC stands beside the one within sources." if compared is not None else ""
    return ItemAnswer(text + more, "tables/metrics.csv" + ("; tables/within_and_pooled.csv" if more else ""))


def robustness(evidence: Evidence) -> ItemAnswer | None:
    return _audits([a for a in _done(evidence) if a.name not in _OF_THE_HEATMAP])


def explanation(evidence: Evidence) -> ItemAnswer | None:
    if evidence.subject.description is None:
        return None
    text = "The heatmap is part of the forward pass: each class's logit is the mean of its map plus a bias. "
    found = _audits([a for a in _done(evidence) if a.name in _OF_THE_HEATMAP])
    if found is None:
        return ItemAnswer(text.strip(), "network.onnx", "how the heatmaps were validated; this run didn't")
    return ItemAnswer(text + found.text, f"network.onnx; {found.source}")


def performance(evidence: Evidence) -> ItemAnswer | None:
    """Discrimination by source, with what the subgroups showed."""
    rows = target_figures(evidence, "metrics", "auroc", "sensitivity", "specificity")
    if not rows:
        return None
    text = f"{as_words(evidence.subject.target)} against the rest. {sentence(by_place(rows))}"
    subgroups = evidence.subgroups.sentences if table(evidence, "subgroups") is not None else ()
    more = f" Subgroups: {' '.join(subgroups)}" if subgroups else ""
    return ItemAnswer(text + more, "tables/metrics.csv" + ("; tables/subgroups.csv" if more else ""))


def diagnostic_performance(evidence: Evidence) -> ItemAnswer | None:
    """Predictive values, the figures at the thresholds, and calibration."""
    parts = {
        "metrics": target_figures(evidence, "metrics", "ppv", "npv"),
        "decision": target_figures(evidence, "decision", "sensitivity", "specificity"),
        "calibration": target_figures(evidence, "calibration", "calibration_intercept", "calibration_slope", "ece"),
    }
    given = {name: rows for name, rows in parts.items() if rows}
    if not given:
        return None
    headings = {"metrics": "Predictive values", "decision": "At the thresholds", "calibration": "Calibration"}
    text = " ".join(f"{headings[name]}: {sentence(by_place(rows))}" for name, rows in given.items())
    return ItemAnswer(text, "; ".join(f"tables/{name}.csv" for name in given))


def heterogeneity(evidence: Evidence) -> ItemAnswer | None:
    rows = target_figures(evidence, "metrics", "auroc")
    if not rows:
        return None
    return ItemAnswer(f"By source: {sentence(by_place(rows))}", "tables/metrics.csv")


def fairness(evidence: Evidence) -> ItemAnswer | None:
    gaps = table(evidence, "gaps")
    if gaps is None:
        return None
    said = evidence.subgroups.sentences
    text = " ".join(said) if said else "Figures and gaps by subgroup are given with intervals."
    return ItemAnswer(text, "tables/subgroups.csv; tables/gaps.csv", "what was done about it, and why")


def wrong_results(evidence: Evidence) -> ItemAnswer:
    """How many were missed and how many called wrongly, by source."""
    target = evidence.subject.target
    clauses = []
    for kind, source, images in evidence.testset.scored.by_source():
        called = (images.table[PREDICTION] == target).to_numpy()
        positive = images.positive
        missed, wrongly = int((positive & ~called).sum()), int((~positive & called).sum())
        clauses.append(
            f"{source} ({KIND_WORDS[kind]}): {missed:,} of {int(positive.sum()):,} {as_words(target)} not called so, "
            f"{wrongly:,} of {int((~positive).sum()):,} others called so"
        )
    text = f"By the most probable class, {sentence(clauses)}" if clauses else "No image could be judged."
    return ItemAnswer(text, "predictions.csv", "what the wrong results have in common")


def limitations(evidence: Evidence) -> ItemAnswer:
    withheld = [text for section in evidence.sections for text in section.withheld]
    decided = [reason.sentence for reason in deciding(evidence)]
    said = [_verdict(evidence), *decided, *evidence.notices, *withheld]
    return ItemAnswer(
        " ".join(dict.fromkeys(said)), "evidence.json, verdict and notices", "the study's own limitations"
    )


def implications(evidence: Evidence) -> ItemAnswer:
    return ItemAnswer(
        _verdict(evidence), "evidence.json, verdict", "what follows for practice, beside earlier studies"
    )


def technical_details(evidence: Evidence) -> ItemAnswer | None:
    if not evidence.command:
        return None
    return ItemAnswer(f"The run is repeated by `{evidence.command}`.", "evidence.json, command", "the study protocol")


def code(evidence: Evidence) -> ItemAnswer:
    licence = metadata("lungsight").json.get("license_expression", "not stated")
    repeated = f" The run is repeated by `{evidence.command}`." if evidence.command else ""
    text = f"lungsight {__version__}, licence {licence}.{repeated}"
    return ItemAnswer(
        text, "the installed package; evidence.json, command", "whether and where your code and model can be had"
    )


def poor_input(evidence: Evidence) -> ItemAnswer | None:
    """What the software does with images that it can't judge."""
    if evidence.subject.description is None:
        return None
    images = evidence.testset.table
    text = (
        "lungsight refuses an image that it can't read as one frontal chest radiograph and says why. "
        f"Here {int((images[FAULT] != '').sum()):,} of {len(images):,} images couldn't be judged."
    )
    return ItemAnswer(text, "evidence.json, images", "what users should do with a refused image")


def _verdict(evidence: Evidence) -> str:
    return f"Verdict: {evidence.verdict.grade}. {evidence.verdict.sentence}"


def _done(evidence: Evidence) -> list[Audit]:
    return [audit for audit in evidence.audits if audit.call is not AuditResult.NOT_DONE]


def _audits(audits: list[Audit]) -> ItemAnswer | None:
    if not audits:
        return None
    text = " ".join(f"{audit.name.capitalize()} ({audit.call}): {audit.meaning}" for audit in audits)
    return ItemAnswer(text, "; ".join(f"tables/{audit.stem}.csv" for audit in audits))
