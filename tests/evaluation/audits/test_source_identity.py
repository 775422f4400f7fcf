"""One hospital under two names is one source; two hospitals are two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.perceptual_hash import perceptual_hashes
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.registry import collection_named
from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.source_identity import DIFFERENT, SAME_AS, SPEC, TRAINING
from lungsight.evaluation.testset.image_statistics import read_image_statistics, statistics_table
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, TestSet
from lungsight.package import TrainedImage
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import FAULT, TRUTH


def a_test(phantoms: Manifest, sources: np.ndarray, kinds: np.ndarray) -> TestSet:
    """The images under other names of sources, as a model without features predicts them."""
    table = phantoms.table.assign(**{TRUTH: phantoms.table["label"], "source": sources, KIND: kinds, FAULT: ""})
    classes = tuple(sorted(set(phantoms.table["label"])))
    table = table.assign(**{f"probability_{name}": 1 / len(classes) for name in classes})
    headers = statistics_table([one.statistics for one in read_image_statistics(list(table["path"]))])
    return TestSet(table, classes, "covid19", headers)


def as_trained(images: Manifest) -> tuple[TrainedImage, ...]:
    hashes = perceptual_hashes(fingerprint_manifest(images).thumbnails)
    rows = zip(images.table["source"], images.table["patient"], hashes, strict=True)
    return tuple(
        TrainedImage.of("0" * 64, source=source, patient=patient, split="train", perceptual_hash=digits)
        for source, patient, digits in rows
    )


def asked(testset: TestSet, trained: tuple[TrainedImage, ...] = ()) -> Audit:
    return SPEC.audit(AuditInput(testset, Resampling(replicates=200), trained=trained))


def same(audit: Audit) -> dict[str, str]:
    """By name, the source that it can't be told from."""
    return {str(row.labels["source"]): str(row.labels[SAME_AS]) for row in audit.rows if row.labels[SAME_AS]}


def halves(phantoms: Manifest, *names: str) -> np.ndarray:
    """By chance one of the names for each image."""
    return np.array(names)[np.random.default_rng(1).integers(len(names), size=len(phantoms))]


def test_two_names_of_one_hospital_are_one_and_two_hospitals_are_two(phantoms: Manifest) -> None:
    one = min(phantoms.table["source"])
    first = (phantoms.table["source"] == one).to_numpy()
    names = np.where(first, halves(phantoms, "hospital A", "hospital B"), "hospital C")
    audit = asked(a_test(phantoms, names, np.full(len(phantoms), EXTERNAL)))
    assert audit.call is AuditResult.REPORTED
    assert same(audit) == {"hospital B": "hospital A"}
    assert "hospital B and hospital A" in audit.meaning
    assert "Compared with no source of the training: hospital A, hospital B, hospital C." in audit.meaning


def test_an_external_name_of_a_hospital_in_training_counts_as_internal(phantoms: Manifest) -> None:
    """Whether the test holds internal images of it, or the package only the hashes of what it was trained on."""
    one = min(phantoms.table["source"])
    first = (phantoms.table["source"] == one).to_numpy()
    renamed = np.where(first, halves(phantoms, one, "hospital A"), "hospital C")
    in_test = asked(a_test(phantoms, renamed, np.where(renamed == one, INTERNAL, EXTERNAL)))
    assert same(in_test) == {"hospital A": one}
    trained = as_trained(phantoms.where(renamed == one))
    tested = phantoms.where(renamed != one)
    by_hash = asked(a_test(tested, renamed[renamed != one], np.full(len(tested), EXTERNAL)), trained)
    assert same(by_hash) == {"hospital A": one}
    assert "no source of the training" not in by_hash.meaning
    assert {row.labels["other_kind"] for row in by_hash.rows} == {EXTERNAL, TRAINING}


@pytest.mark.slow
def test_siims_other_patients_under_other_names_are_siims(shared_data: Path) -> None:
    """Real images: 260 of two halves of siim's patients, beside what a model was trained on."""
    manifest = collection_named("siim").build(shared_data / "siim").manifest
    patients = np.random.default_rng(0).permutation(manifest.table["patient"].unique())
    folded = manifest.table["patient"].map({patient: i % 5 for i, patient in enumerate(patients)}).to_numpy()
    chosen = [np.flatnonzero(folded == fold)[:130] for fold in range(2)]
    rows = np.concatenate([*chosen, np.flatnonzero(folded >= 2)[:200]])
    part = Manifest(manifest.table.iloc[rows].reset_index(drop=True), "siim")
    names = np.array(["hospital A"] * 130 + ["hospital B"] * 130)
    tested = part.where(np.arange(len(part)) < 260)
    audit = asked(a_test(tested, names, np.full(260, EXTERNAL)), as_trained(part.where(np.arange(len(part)) >= 260)))
    figures = {(row.labels["source"], row.labels["other"]): row.estimate for row in audit.rows}
    assert set(figures) == {("hospital A", "siim"), ("hospital B", "siim"), ("hospital B", "hospital A")}
    assert all(row.labels[SAME_AS] for row in audit.rows), audit.meaning
    assert set(same(audit)) == {"hospital A", "hospital B"}


def test_few_images_do_not_make_another_source(phantoms: Manifest) -> None:
    """Two hospitals that many images tell apart: of few, the interval is too wide to show it."""
    names = phantoms.table["source"].to_numpy(dtype=str)
    every = a_test(phantoms, names, np.full(len(phantoms), EXTERNAL))
    assert not same(asked(every))
    few = every.where(np.arange(len(phantoms)) < 50)
    audit = asked(few)
    assert audit.effect is not None
    assert bool(same(audit)) == (audit.effect.low <= DIFFERENT)


def test_small_sources_are_not_compared(phantoms: Manifest) -> None:
    names = np.array(["few"] * 15 + ["many"] * (len(phantoms) - 15))
    audit = asked(a_test(phantoms, names, np.full(len(phantoms), EXTERNAL)))
    assert audit.call is AuditResult.NOT_DONE
