"""What the API takes and gives, for its description."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lungsight.errors import printable
from lungsight.room.reads import Category, category_of

Fraction = Annotated[float, Field(ge=0, le=1)]
_LONGEST_COMMENT = 4000


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class _Told(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Problem(_Told):
    """An error, as RFC 9457 has it."""

    title: str
    """One sentence."""
    detail: str
    """What can be done."""
    status: int
    """Of HTTP."""


class Health(_Told):
    """The room's counters."""

    status: str
    """``ok``, or why nothing is scanned."""
    received: int
    waiting: int
    running: int
    done: int
    failed: int
    """Images that can't be read."""
    deleted: int
    uptime_seconds: float
    ready: bool
    """Whether the scanner is warm."""


class Entry(_Told):
    """An image that was sent."""

    id: str
    """The sha256 of its bytes."""
    state: str
    """``waiting``, ``running``, ``done`` or ``error``."""
    name: str | None
    """As it was sent; told in this answer only, unless identifiers are kept."""


class PassedOver(_Told):
    """A file beside images: a report, an icon, a program."""

    name: str
    why: str


class Received(_Told):
    """What became of an upload. Images are on the disk when this is told."""

    images: list[Entry]
    passed_over: list[PassedOver]
    already: list[Entry]
    """Images that were here before."""


class BriefRead(_Told):
    """The latest read of an image."""

    category: Category
    agrees: bool | None
    at: str
    blind: bool


class Row(_Told):
    """An image as the worklist has it."""

    id: str
    state: Literal["waiting", "running", "done", "error"]
    received: str
    urgency: float | None
    """Points by the rule of ``lungsight triage``."""
    overdue: bool
    reason: str | None
    """Why it stands where it stands."""
    decision: str | None
    decision_words: str | None
    status: str | None
    probability: float | None
    """Of the target."""
    view: str | None
    view_from: str | None
    age: float | None
    sex: str | None
    study_date: str | None
    rows: int | None
    columns: int | None
    read: BriefRead | None
    patient_key: str | None
    """Tells patients apart, and names none."""
    name: str | None
    phantom: str | None
    """What a phantom shows."""
    blinded: bool
    """Whether the finding is held back until the image is read."""
    has_picture: bool


class Counts(_Told):
    """Of the whole room."""

    all: int
    unread: int
    read: int
    by_decision: dict[str, int]


class Worklist(_Told):
    """A part of the worklist."""

    total: int
    """Images that the filter finds."""
    counts: Counts
    offset: int
    images: list[Row]


class Region(_Given):
    """A rectangle on the image as it is shown, in fractions of its width and height."""

    x: Fraction
    y: Fraction
    width: Fraction
    height: Fraction

    @model_validator(mode="after")
    def _is_on_the_image(self) -> Region:
        if self.x + self.width > 1 + 1e-9 or self.y + self.height > 1 + 1e-9:
            raise ValueError("reaches beyond the image")
        return self


class NewRead(_Given):
    """What a reader says of an image."""

    category: str = Field(max_length=40, examples=["typical"])
    """``typical``, ``indeterminate``, ``atypical`` or ``negative``; or the BSTI's word for one of them."""
    agrees: bool | None = None
    """With the model; null if that wasn't asked."""
    regions: list[Region] = Field(default=[], max_length=100)
    """Where it is seen."""
    comment: Annotated[str, AfterValidator(lambda text: "\n".join(map(printable, text.splitlines())))] = Field(
        default="", max_length=_LONGEST_COMMENT
    )
    seconds: float | None = Field(default=None, ge=0, le=86_400)
    """How long it took."""

    @model_validator(mode="after")
    def _has_a_known_word(self) -> NewRead:
        try:
            self.category = str(category_of(self.category))
        except ValueError:
            raise ValueError(f"category is one of {', '.join(Category)}") from None
        return self


class Read(BriefRead):
    """A version of a read."""

    image: str
    regions: list[Region]
    comment: str
    seconds: float | None
    order: int
    """1 is the room's first read."""
    model: str
    """Whose finding was there to agree with."""
    reader: str
    """The session."""


class Reference(_Told):
    """What an image shows by something other than looking at it."""

    label: str
    standard: str


class NewReference(_Given):
    """What an image shows by something other than looking at it, such as RT-PCR."""

    label: str = Field(pattern="^[a-z0-9_]{1,40}$", examples=["covid19"])
    standard: Annotated[str, AfterValidator(printable)] = Field(min_length=1, max_length=100, examples=["RT-PCR"])


class Prior(_Told):
    """Another image of the same patient."""

    id: str
    study_date: str | None
    view: str | None


class ImageAnswer(Row):
    """An image with its finding."""

    finding: dict[str, Any] | None
    """As ``lungsight scan --json`` has it; null while it waits, or where it is held back."""
    meaning: list[str]
    """What the decision rests on, in sentences."""
    outline: list[list[list[float]]]
    """The lungs: polygons of [x, y] in fractions of the image."""
    priors: list[Prior]
    reads: list[Read]
    reference: Reference | None


class Report(_Told):
    """All that is known of an image, for a file."""

    made: str
    research_only: str
    version: str
    rule: str
    model: dict[str, Any]
    image: ImageAnswer


class PixelLevel(_Told):
    """The image at one size."""

    width: int
    height: int
    url: str


class WindowAnswer(_Told):
    """How levels become grey."""

    name: str
    center: float
    width: float
    curve: list[float] | None
    """Grey 0…1, evenly over the width; null for a straight line."""


class PixelsAnswer(_Told):
    """What a viewer must know before it fetches levels."""

    levels: list[PixelLevel]
    bits: int
    lowest: int
    highest: int
    padded: bool
    """Whether level 0 is padding: black whatever the window."""
    windows: list[WindowAnswer]
    """The first shows what the model saw."""
    inverted: bool
    """Whether it was a negative; the levels are those of the positive."""
    at_zero: float
    """The header's number of level 0 …"""
    per_level: float
    """… and what each level adds to it."""
    spacing_mm: list[float] | None
    spacing_plane: str | None
    turned: int
    mirrored: bool


class EvidenceMap(_Told):
    """The evidence for the target against the other classes: the mean of ``values`` plus ``bias`` is ``margin``."""

    values: list[list[float]]
    bias: float
    mean: float
    margin: float
    full: float
    """Logits that have the strongest colour: the 99th percentile of the absolute values."""
    box: list[float]
    """Left, top, right and bottom of what the grid covers, in fractions of the image."""
    target: str
    target_words: str


class Alteration(StrEnum):
    """A way to alter an image."""

    HIDE_LUNGS = "hide_lungs"
    LETTER = "letter"
    BLUR = "blur"
    BORDER = "border"
    INVERT = "invert"


class NewAlteration(_Given):
    """What is done to the opened image."""

    kind: Alteration
    strength: float | None = Field(default=None, gt=0, le=100)
    """As ``/v1/room`` lists them."""
    x: Fraction = 0.06
    """Of a letter's left edge."""
    y: Fraction = 0.12
    """Of a letter's lower edge."""
    text: str = Field(default="L", pattern="^[A-Z0-9]{1,5}$")
    """Of a letter."""


class Brief(_Told):
    """A decision with the target's probability."""

    decision: str | None
    probability: float


class AlteredPicture(_Told):
    """The altered image, as small as the network needs it."""

    width: int
    height: int
    lowest: int
    highest: int
    padded: bool
    windows: list[WindowAnswer]
    data: str
    """uint16, little-endian, row by row, in base64."""


class AlteredAnswer(_Told):
    """What the model makes of an altered image."""

    finding: dict[str, Any]
    meaning: list[str]
    decision_words: str
    before: Brief
    """Of the image as it is, at the same size."""
    after: Brief
    would_refuse: list[str]
    """Why scanning would refuse the altered image."""
    would_turn_negative: bool
    """Whether scanning would take it for a negative and turn it back."""
    outline: list[list[list[float]]]
    evidence: EvidenceMap
    picture: AlteredPicture


class NewPhantoms(_Given):
    """Simulated images with a known label."""

    count: int = Field(default=1, ge=1, le=20)
    label: Literal["covid19", "other_pneumonia", "no_pneumonia"] | None = None
    """Of all; null: each in turn."""
    shortcut: Literal["corner_letter", "border", "blur", "body_size", "view"] | None = None
    """Planted in all."""
    size: int = Field(default=768, ge=128, le=2048)
    """Height in pixels."""
    seed: int | None = Field(default=None, ge=0, lt=2**53)
    """The same draws the same images."""


class AuditEntry(_Told):
    """Who did what, and when."""

    at: str
    who: str
    """The browser's session, ``program`` or ``room``."""
    what: str
    image: str | None
    model: str
    """Name and the first twelve digits of the package's sha256."""
    note: str


class AuditLog(_Told):
    """A part of the audit log, the newest first."""

    total: int
    entries: list[AuditEntry]
