"""Result objects as files, one folder a study."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lungsight._files import output_folder, write_whole
from lungsight.dicom_results.objects import USUAL, Kind, ResultObject, ResultObjects
from lungsight.errors import LungsightError
from lungsight.inference.detector import Detector
from lungsight.inference.finding import Finding


class ResultFolder:
    """Writes the result objects of findings. Safe to call from several threads.

    A name follows from study, image and kind, so that an image that is scanned again replaces its own results.
    """

    def __init__(self, folder: Path, detector: Detector, kinds: Sequence[Kind] = USUAL) -> None:
        """Make the folder.

        Args:
            folder: where the objects are written.
            detector: it keeps headers.
            kinds: the objects to make.

        Raises:
            LungsightError: it can't be made.
        """
        self._folder = output_folder(folder, "DICOM objects")
        self._objects = ResultObjects(detector, kinds)

    def add(self, finding: Finding) -> Finding:
        """Write the objects of a finding that holds its image.

        Returns:
            The finding, with a warning if its header can't carry results. Raises LungsightError if a file can't be
            written.
        """
        try:
            made = self._objects.of(finding)
        except LungsightError as problem:
            return replace(
                finding, warnings=(*finding.warnings, f"{problem.problem[0].upper()}{problem.problem[1:]}.")
            )
        for one in made:
            write_whole(self._folder / file_name(finding, one), one.as_bytes())
        return finding


def file_name(finding: Finding, made: ResultObject) -> Path:
    """The folder of the study, and the kind with a digest of the image's UID."""
    of_image = str(finding.identifiers.sop_instance_uid)
    return (
        Path(str(made.dataset.StudyInstanceUID))
        / f"{made.kind}-{hashlib.sha256(of_image.encode()).hexdigest()[:12]}.dcm"
    )
