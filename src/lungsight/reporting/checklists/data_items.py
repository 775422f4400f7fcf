"""What a run knows of the images it was trained and tested on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lungsight._text import as_words, counted
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, UNSTATED, TestSet
from lungsight.reporting.checklists.answer import KIND_WORDS, ItemAnswer, sentence
from lungsight.statistics.outcomes import FAULT

_FLOW, _TEST, _MANIFEST = "tables/flow.csv", "evidence.json, images", "the test's manifest"
_TRAINED = "package.json, sources"
_CONTEXT = ("age", "sex", "view")


def data_sources(evidence: Evidence) -> ItemAnswer:
    """The sources of training and test."""
    description, trained_on = evidence.subject.description, evidence.subject.trained_sources
    rest = "links to the data, why these, and how well they match the patients the model is meant for"
    tested = f"Tested on {sentence(_sources(evidence.testset))}"
    if description is None:
        stated = "It isn't stated what the model was trained on."
        if trained_on is not None:
            stated = f"Stated to be trained on {', '.join(trained_on) or 'none of them'}."
        return ItemAnswer(f"{tested} {stated}", "evidence.json, images and subject", rest)
    trained = (
        f"{s.name}: {s.images:,} images of {s.patients:,} patients, licence {s.licence}" for s in description.sources
    )
    return ItemAnswer(f"Trained and tuned on {sentence(trained)} {tested}", f"{_TRAINED}; {_TEST}", rest)


def centres(evidence: Evidence) -> ItemAnswer:
    """Setting and centres, as far as the manifest states them."""
    found = evidence.testset.table
    sites = found["site"][found["site"].astype(str) != ""].nunique() if "site" in found else 0
    known = f", with {counted(sites, 'site')} named in the manifest" if sites else ""
    text = f"Tested on images of {counted(found['source'].nunique(), 'source')}{known}."
    return ItemAnswer(text, _TEST, "the kind of care, and number and location of the centres")


def eligibility(evidence: Evidence) -> ItemAnswer:
    """What was left out, step by step."""
    return ItemAnswer(f"Left out, in this order: {sentence(_steps(evidence))}", _FLOW)


def flow(evidence: Evidence) -> ItemAnswer:
    """How many images came in, were left out and were tested."""
    came_in = int(evidence.flow.tables["flow"]["remain"].iloc[0])
    tested = sentence(_sources(evidence.testset))
    text = f"{came_in:,} images came in. Left out: {sentence(_steps(evidence))} Tested: {tested}"
    return ItemAnswer(text, f"{_FLOW}; {_TEST}")


def missing_data(evidence: Evidence) -> ItemAnswer:
    """Images that couldn't be analysed, and values that aren't stated."""
    found = evidence.testset.table
    unreadable = int((found[FAULT] != "").sum())
    missing = [f"{name} {int((_stated(found, name) == '').sum()):,}" for name in _CONTEXT]
    text = (
        f"{unreadable:,} of {len(found):,} images couldn't be analysed and are left out of every figure. "
        f"Images without a stated {', '.join(missing)}."
    )
    if evidence.subject.description is not None:
        text += " The model reads pixels alone, so nothing was imputed for it."
    return ItemAnswer(text, _TEST)


def acquisition(evidence: Evidence) -> ItemAnswer:
    """Views and modalities."""
    found = evidence.testset.table
    stated = (f"{name}: {_counts(_stated(found, name))}" for name in ("view", "modality"))
    return ItemAnswer(sentence(stated), _MANIFEST, "devices, exposure, distance and who took the images")


def reference_standard(evidence: Evidence) -> ItemAnswer:
    """What the labels rest on, by source."""
    stated = (
        f"{source}: {_counts(_stated(images.table, 'reference_standard'))}"
        for _, source, images in evidence.testset.by_source()
    )
    rest = "how each was obtained, when relative to the image, and by whom"
    return ItemAnswer(f"What the labels rest on, by source: {sentence(stated)}", _MANIFEST, rest)


def outcome(evidence: Evidence) -> ItemAnswer:
    """The target, the other classes, and the reference standard."""
    subject = evidence.subject
    others = ", ".join(as_words(name) for name in subject.classes if name != subject.target)
    text = f"{as_words(subject.target)}, against {others}. {reference_standard(evidence).text}"
    rest = "how and when the outcome was assessed, and why this one"
    return ItemAnswer(text, f"evidence.json, subject; {_MANIFEST}", rest)


def sample_size(evidence: Evidence) -> ItemAnswer:
    """Images and patients tested."""
    text = f"Tested: {_size(evidence.testset)}."
    return ItemAnswer(text, _TEST, "the intended size, and how it was found")


def characteristics(evidence: Evidence) -> ItemAnswer:
    """Age and sex, by source."""
    stated = (f"{source}: {_people(images)}" for _, source, images in evidence.testset.by_source())
    rest = "the same of the training and tuning images, and clinical characteristics such as severity"
    return ItemAnswer(f"Of the test images: {sentence(stated)}", _MANIFEST, rest)


def training_beside_test(evidence: Evidence) -> ItemAnswer | None:
    """Development and evaluation data side by side."""
    description = evidence.subject.description
    if description is None:
        return None
    trained = (
        f"{s.name}: {', '.join(f'{n:,} {as_words(name)}' for name, n in s.labels.items()) or 'classes not stated'}"
        for s in description.sources
    )
    text = f"Trained and tuned on {sentence(trained)} Tested on {sentence(_sources(evidence.testset))}"
    rest = "differences in setting, patients, devices and reference standard"
    return ItemAnswer(text, f"{_TRAINED}; {_TEST}", rest)


def participants(evidence: Evidence) -> ItemAnswer | None:
    """Numbers of images and patients in each analysis."""
    found = training_beside_test(evidence)
    return found and ItemAnswer(found.text, found.source, "training and tuning apart from each other")


def internal_test(evidence: Evidence) -> ItemAnswer | None:
    """The test on other patients of the training's sources."""
    return _tests_of_kind(evidence, INTERNAL)


def external_test(evidence: Evidence) -> ItemAnswer | None:
    """The test on sources that the model never saw."""
    return _tests_of_kind(evidence, EXTERNAL)


def availability(evidence: Evidence) -> ItemAnswer | None:
    """Licences of the training data."""
    description = evidence.subject.description
    if description is None:
        return None
    licences = sentence(f"{s.name}, {s.licence}" for s in description.sources)
    return ItemAnswer(
        f"Licences of the training data: {licences}", _TRAINED, "whether and where the data are available"
    )


def _tests_of_kind(evidence: Evidence, kind: str) -> ItemAnswer | None:
    kinds = evidence.testset.table["kind"]
    if (kinds == UNSTATED).all():
        return None
    if not (kinds == kind).any():
        return ItemAnswer(f"Not done in this run: no {KIND_WORDS[kind]} image was tested.", _TEST)
    groups = sentence(_sources(evidence.testset, kind))
    return ItemAnswer(f"Done, each source by itself: {groups}", f"{_TEST}; tables/metrics.csv")


def _sources(testset: TestSet, wanted: str = "") -> Iterator[str]:
    """The size of each source, of all kinds or of one."""
    for kind, source, images in testset.by_source():
        if wanted in ("", kind):
            yield f"{source} ({KIND_WORDS[kind]}): {_size(images)}"


def _size(images: TestSet) -> str:
    scored = images.scored
    patients, target = len(np.unique(scored.patient)), as_words(images.target)
    return f"{len(scored):,} images of {patients:,} patients, {int(scored.positive.sum()):,} of {target}"


def _steps(evidence: Evidence) -> list[str]:
    steps = evidence.flow.tables["flow"]
    left_out = zip(steps["step"], steps["left_out"].astype(int), strict=True)
    return [f"{step} ({n:,})" for step, n in left_out if n] or ["none"]


def _people(images: TestSet) -> str:
    found = images.table
    ages = pd.to_numeric(_stated(found, "age"), errors="coerce").dropna()
    quartiles = ages.quantile([0.5, 0.25, 0.75]).to_list()
    age = "median age {:.0f} ({:.0f}–{:.0f})".format(*quartiles) if len(ages) else "age not stated"
    return f"{age}, known of {len(ages):,} of {len(found):,} images; sex {_counts(_stated(found, 'sex'))}"


def _stated(found: pd.DataFrame, name: str) -> pd.Series[str]:
    """A column of the manifest as text, empty where it isn't stated."""
    return found[name].fillna("").astype(str) if name in found else pd.Series("", index=found.index)


def _counts(values: pd.Series[str]) -> str:
    counts = values.replace("", "not stated").value_counts()
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())
