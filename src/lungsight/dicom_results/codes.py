"""The codes that result objects use. docs/reference/dicom-conformance.md lists them."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.sr.coding import Code

from lungsight.inference.finding import INCONCLUSIVE
from lungsight.package.stated_grade import FOUND, NOT_FOUND, NOT_LOOKED_FOR, NOT_SHOWN, StatedGrade

#: The private scheme, for what no public one has a code for. It is declared in every object that uses it.
SCHEME = "99LUNGSIGHT"

CLASS_ACTIVATION = Code("130402", "DCM", "Class activation")
CLINICAL_FINDING = Code("404684003", "SCT", "Clinical finding")
CHEST_RADIOGRAPHY = Code("399208008", "SCT", "Plain chest X-ray")
HAS_INTERPRETATION = Code("363713009", "SCT", "Has interpretation")
LUNG = Code("39607008", "SCT", "Lung")
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical structure")
PROBABILITY = Code("122157", "DCM", "Probability")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
DEVICE = Code("121007", "DCM", "Device")
REPORT = Code("126000", "DCM", "Imaging Measurement Report")
MAXIMUM = Code("56851009", "SCT", "Maximum")
PROCESSING = Code("109102", "DCM", "Processing Equipment")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")
MODALITY = Code("121139", "DCM", "Modality")
MODALITIES = {"CR": Code("CR", "DCM", "Computed Radiography"), "DX": Code("DX", "DCM", "Digital Radiography")}
OTHER_MODALITY = Code("OT", "DCM", "Other Modality")
ROWS = Code("110910", "DCM", "Pixel Data Rows")
COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
PIXELS = Code("{pixels}", "UCUM", "Pixels")
PERCENT = Code("%", "UCUM", "percent")
NO_UNITS = Code("1", "UCUM", "no units")

POSITIVE = Code("10828004", "SCT", "Positive")
NEGATIVE = Code("260385009", "SCT", "Negative")
INDETERMINATE = Code("82334004", "SCT", "Indeterminate")

#: What a class means. A class that isn't here has no code, and no group in a report.
FINDINGS = {
    "covid19": Code("882784691000119100", "SCT", "Pneumonia caused by SARS-CoV-2"),
    "other_pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "pneumonia": Code("233604007", "SCT", "Pneumonia"),
}

GRADE = Code("GRADE", SCHEME, "Evidence grade of the model")
SHORTCUT = Code("SHORTCUT", SCHEME, "Shortcut in the test of the model")
NO_GRADE = Code("G-NONE", SCHEME, "no evidence report in the package")
_OTHER_GRADE = "G-OTHER"
#: By the words of `lungsight.evaluation.grade.Grade`, and those of older packages.
GRADES = {
    "too little data": "G-TOO-LITTLE",
    "fails where it was tested": "G-FAILS",
    "fails elsewhere": "G-FAILS-ELSE",
    "not shown to be good enough elsewhere": "G-NOT-SHOWN",
    "internal only": "G-INTERNAL",
    "not stated what it was trained on": "G-NOT-STATED",
    "holds at some other sources, fails at some": "G-MIXED",
    "holds at one other source": "G-HOLDS-ONE",
    "holds at several other sources": "G-HOLDS-SEVERAL",
}
SHORTCUTS = {FOUND: "S-FOUND", NOT_FOUND: "S-NOT-FOUND", NOT_SHOWN: "S-NOT-SHOWN", NOT_LOOKED_FOR: "S-NOT-ASKED"}


def interpretation(decision: str, target: str) -> Code:
    """Positive, negative or indeterminate, of the decision on an image that was analysed."""
    if decision == INCONCLUSIVE:
        return INDETERMINATE
    return POSITIVE if decision == target else NEGATIVE


def grade_codes(stated: StatedGrade | None) -> list[tuple[Code, Code]]:
    """Grade and shortcut flag of a model, each as what is stated and its value."""
    if stated is None:
        return [(GRADE, NO_GRADE)]
    value = Code(GRADES.get(stated.grade, _OTHER_GRADE), SCHEME, stated.grade[:64] or "not stated")
    flags = [Code(code, SCHEME, words) for words, code in SHORTCUTS.items() if words == stated.shortcut]
    return [(GRADE, value), *((SHORTCUT, flag) for flag in flags)]


def declared_scheme() -> Dataset:
    """The private scheme as Coding Scheme Identification (0008,0110) declares it."""
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = "lungsight grades"
    item.CodingSchemeResponsibleOrganization = "lungsight (research software)"
    return item
