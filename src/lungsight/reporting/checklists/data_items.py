"""What a run knows of the images it was trained and tested on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import as_words
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, UNSTATED, TestSet
from lungsight.reporting.checklists.answer import ItemAnswer
from lungsight.reporting.checklists.estimates import KIND_WORDS, sentence, table
from lungsight.statistics.outcomes import FAULT

_FLOW = "tables/flow.csv"
_TEST = "evidence.json, images"
_TRAINED = "package.json, sources"
_CONTEXT = ("age", "sex", "view")


def data_sources(evidence: Evidence) -> ItemAnswer:
    description = evidence.subject.description
    rest = "links to the data, why these, and how well they match the patients the model is meant for"
    tested = f"Tested on {sentence(_sources(evidence.testset))}"
    if description is None:
        return ItemAnswer(f"{tested} {_said_to_be_trained_on(evidence)}", "evidence.json, images and subject", rest)
    trained = sentence(
        [
            f"{s.name}: {s.images:,} images of {s.patients:,} patients, licence {s.licence}"
            for s in description.sources
        ]
    )
    return ItemAnswer(f"Trained and tuned on {trained} {tested}", f"{_TRAINED}; {_TEST}", rest)


def _said_to_be_trained_on(evidence: Evidence) -> str:
    sources = evidence.subject.trained_sources
    if sources is None:
        return "Nobody says what the model was trained on."
    return f"Said to be trained on {', '.join(sources) or 'none of them'}."


def centres(evidence: Evidence) -> ItemAnswer:
    """Setting and centres, as far as the manifest tells."""
    found = evidence.testset.table
    sources = found["source"].nunique()
    sites = found["site"][found["site"].astype(str) != ""].nunique() if "site" in found else 0
    known = f", with {sites:,} sites named in the manifest" if sites else ""
    text = f"Tested on images of {sources:,} source{'s' if sources != 1 else ''}{known}."
    return ItemAnswer(text, _TEST, "the kind of care, and number and location of the centres")


def eligibility(evidence: Evidence) -> ItemAnswer | None:
    steps = _steps(evidence)
    return ItemAnswer(f"Left out, in this order: {sentence(steps)}", _FLOW) if steps else None


def flow(evidence: Evidence) -> ItemAnswer | None:
    steps = _steps(evidence)
    if not steps:
        return None
    counts = sentence(_sources(evidence.testset))
    return ItemAnswer(f"{_came_in(evidence)}Left out: {sentence(steps)} Tested: {counts}", f"{_FLOW}; {_TEST}")


def missing_data(evidence: Evidence) -> ItemAnswer:
    found = evidence.testset.table
    unreadable = int((found[FAULT] != "").sum())
    missing = [f"{name} {int(_missing(found, name).sum()):,}" for name in _CONTEXT]
    text = (
        f"{unreadable:,} of {len(found):,} images couldn't be judged and are left out of every figure. "
        f"Images without a stated {', '.join(missing)}."
    )
    if evidence.subject.description is not None:
        text += " The model reads pixels alone, so nothing was imputed for it."
    return ItemAnswer(text, _TEST)


def acquisition(evidence: Evidence) -> ItemAnswer | None:
    found = evidence.testset.table
    stated = [f"{name}: {_counts(found[name])}" for name in ("view", "modality") if name in found]
    if not stated:
        return None
    return ItemAnswer(sentence(stated), "the test's manifest", "devices, exposure, distance and who took the images")


def reference_standard(evidence: Evidence) -> ItemAnswer | None:
    if "reference_standard" not in evidence.testset.table:
        return None
    stated = [
        f"{source}: {_counts(images.table['reference_standard'])}"
        for _, source, images in evidence.testset.by_source()
    ]
    rest = "how each was obtained, when relative to the image, and by whom"
    return ItemAnswer(f"What the labels rest on, by source: {sentence(stated)}", "the test's manifest", rest)


def outcome(evidence: Evidence) -> ItemAnswer:
    subject = evidence.subject
    others = ", ".join(as_words(name) for name in subject.classes if name != subject.target)
    text = f"{as_words(subject.target)}, against {others}."
    found = reference_standard(evidence)
    more = f" {found.text}" if found else ""
    rest = "how and when the outcome was assessed, and why this one"
    return ItemAnswer(text + more, "evidence.json, subject; the test's manifest", rest)


def sample_size(evidence: Evidence) -> ItemAnswer:
    scored = evidence.testset.scored
    patients = len(np.unique(scored.patient))
    text = (
        f"Tested: {len(scored):,} images of {patients:,} patients, {int(scored.positive.sum()):,} of them images of "
        f"{as_words(scored.target)}."
    )
    return ItemAnswer(text, _TEST, "the intended size, and how it was found")


def characteristics(evidence: Evidence) -> ItemAnswer:
    stated = [f"{source}: {_people(images)}" for _, source, images in evidence.testset.by_source()]
    rest = "the same of the training and tuning images, and clinical characteristics such as severity"
    return ItemAnswer(f"Of the test images: {sentence(stated)}", "the test's manifest", rest)


def training_beside_test(evidence: Evidence) -> ItemAnswer | None:
    """Development and evaluation data side by side."""
    description = evidence.subject.description
    if description is None:
        return None
    trained = [
        f"{s.name}: {', '.join(f'{n:,} {as_words(name)}' for name, n in s.labels.items()) or 'classes not stated'}"
        for s in description.sources
    ]
    text = f"Trained and tuned on {sentence(trained)} Tested on {sentence(_sources(evidence.testset))}"
    return ItemAnswer(
        text, f"{_TRAINED}; {_TEST}", "differences in setting, patients, devices and reference standard"
    )


def participants(evidence: Evidence) -> ItemAnswer | None:
    found = training_beside_test(evidence)
    return found and ItemAnswer(found.text, found.source, "training and tuning apart from each other")


def internal_test(evidence: Evidence) -> ItemAnswer | None:
    return _tests_of_kind(evidence, INTERNAL)


def external_test(evidence: Evidence) -> ItemAnswer | None:
    return _tests_of_kind(evidence, EXTERNAL)


def availability(evidence: Evidence) -> ItemAnswer | None:
    description = evidence.subject.description
    if description is None:
        return None
    licences = sentence([f"{s.name}, {s.licence}" for s in description.sources])
    return ItemAnswer(f"Licences of the training data: {licences}", _TRAINED, "whether and where the data can be had")


def _tests_of_kind(evidence: Evidence, kind: str) -> ItemAnswer | None:
    kinds = evidence.testset.table["kind"]
    if (kinds == UNSTATED).all():
        return None
    groups = [text for found, text in _sources_by_kind(evidence.testset) if found == kind]
    if not groups:
        return ItemAnswer(f"Not done in this run: no {KIND_WORDS[kind]} image was tested.", _TEST)
    return ItemAnswer(f"Done, each source by itself: {sentence(groups)}", f"{_TEST}; tables/metrics.csv")


def _sources(testset: TestSet) -> Iterator[str]:
    return (text for _, text in _sources_by_kind(testset))


def _sources_by_kind(testset: TestSet) -> Iterator[tuple[str, str]]:
    for kind, source, images in testset.by_source():
        scored = images.scored
        patients = len(np.unique(scored.patient))
        yield (
            kind,
            f"{source} ({KIND_WORDS[kind]}): {len(scored):,} images of {patients:,} patients, "
            f"{int(scored.positive.sum()):,} of {as_words(testset.target)}",
        )


def _steps(evidence: Evidence) -> list[str]:
    found = table(evidence, "flow", "step", "left_out")
    if found is None:
        return []
    counts = pd.to_numeric(found["left_out"], errors="coerce").fillna(0).astype(int)
    return [f"{step} ({n:,})" for step, n in zip(found["step"], counts, strict=True) if n] or ["none"]


def _came_in(evidence: Evidence) -> str:
    """How many images there were before the first step."""
    found = table(evidence, "flow", "step", "left_out", "remain")
    if found is None:
        return ""
    first = found.iloc[0]
    return f"{int(first['left_out'] + first['remain']):,} images came in. "


def _people(images: TestSet) -> str:
    found = images.table
    ages = pd.to_numeric(found["age"], errors="coerce").dropna() if "age" in found else pd.Series(dtype=float)
    quartiles = ages.quantile([0.5, 0.25, 0.75]).to_list() if len(ages) else []
    age = "median age {:.0f} ({:.0f}–{:.0f})".format(*quartiles) if quartiles else "age not stated"
    sex = _counts(found["sex"]) if "sex" in found else "not stated"
    return f"{age}, known of {len(ages):,} of {len(found):,} images; sex {sex}"


def _missing(found: pd.DataFrame, name: str) -> pd.Series:
    if name not in found:
        return pd.Series(True, index=found.index)
    return found[name].isna() | (found[name].astype(str) == "")


def _counts(values: pd.Series) -> str:
    stated = values.fillna("").astype(str).replace("", "not stated")
    return ", ".join(f"{name} {n:,}" for name, n in stated.value_counts().items())
