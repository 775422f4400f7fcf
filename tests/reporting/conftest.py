"""What ``evaluate`` found, the report that was written of it, and the runs that several folders of tests share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from evaluated import bare, evidence
from evaluation_fixtures import film, films, make_package, make_run
from lungsight.evaluation.evidence import Evidence
from lungsight.reporting.write import write_report

__all__ = ["bare", "evidence", "film", "films", "make_package", "make_run"]


@pytest.fixture(scope="session")
def report(evidence: Evidence, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the whole report."""
    folder = tmp_path_factory.mktemp("report")
    write_report(evidence, folder)
    return folder


@pytest.fixture(scope="session")
def masks(evidence: Evidence) -> Mapping[str, str]:
    """What differs from run to run in a text, and what a snapshot has in its place."""
    description = evidence.subject.description
    assert description is not None
    folder = str(Path(evidence.testset.table["path"].iloc[-1]).parent)
    digests = dict.fromkeys(description.files.values(), "<sha256>")
    day = evidence.made.strftime("%-d %B %Y")
    return {folder: "<folder>", evidence.subject.model: "<model>", day: "<date>", **digests}
