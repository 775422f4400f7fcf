"""Reads: what a reader says of an image, in the four words for radiographs, and as a manifest.

The words are those of Litmanovich et al. 2020 (J Thorac Imaging 35:354) and of SIIM's labels; the manifest's labels
are those that ``lungsight data build siim`` gives for the same words.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from lungsight.room.store import Store, log, now
from lungsight.room.tables import IMAGES, READS, REFERENCES


class Category(StrEnum):
    """What a radiograph looks like, with regard to COVID-19."""

    TYPICAL = "typical"
    INDETERMINATE = "indeterminate"
    ATYPICAL = "atypical"
    NEGATIVE = "negative"


MEANINGS: Mapping[Category, str] = {
    Category.TYPICAL: "Opacities on both sides, peripheral, in the lower lungs: as COVID-19 pneumonia often looks.",
    Category.INDETERMINATE: "Opacities neither typical nor atypical: on one side, central, or in the upper lungs.",
    Category.ATYPICAL: "Signs of something else: lobar consolidation, effusion, oedema, pneumothorax, a mass.",
    Category.NEGATIVE: "No opacities. Early or mild COVID-19 may look like this.",
}
#: The words of the British Society of Thoracic Imaging for the same.
_BSTI = {
    "classic": Category.TYPICAL,
    "probable": Category.TYPICAL,
    "classic/probable": Category.TYPICAL,
    "non-covid": Category.ATYPICAL,
    "normal": Category.NEGATIVE,
}
#: As the manifest of SIIM has them: an image that looks typical isn't proof of COVID-19, and the reference says so.
LABELS = {
    Category.TYPICAL: "covid19",
    Category.INDETERMINATE: "indeterminate",
    Category.ATYPICAL: "atypical",
    Category.NEGATIVE: "no_pneumonia",
}
_FINDING = {
    Category.TYPICAL: "Typical Appearance",
    Category.INDETERMINATE: "Indeterminate Appearance",
    Category.ATYPICAL: "Atypical Appearance",
    Category.NEGATIVE: "Negative for Pneumonia",
}
SOURCE = "reading room"
_COLUMNS = (
    *("path", "label", "patient", "source", "finding", "reference_standard", "view", "age", "sex", "boxes"),
    *("image", "agrees", "comment", "seconds", "blind", "order", "model", "read_at"),
)


def category_of(word: str) -> Category:
    """The category of a word, ours or the BSTI's. Raises ValueError."""
    plain = word.strip().lower()
    return _BSTI.get(plain) or Category(plain)


def save(store: Store, image: str, read: Mapping[str, Any], *, blind_room: bool, reader: str, model: str) -> bool:
    """Keep a read; earlier ones of the same image stay.

    Args:
        store: of the room.
        image: its id.
        read: category, agrees, regions, comment and seconds.
        blind_room: whether the room shows no finding before the read. The read is blind if none was ever shown.
        reader: the session.
        model: the package's id.

    Returns:
        false if there is no such image.
    """
    with store.writing() as connection:
        found = connection.execute(select(IMAGES.c.shown, IMAGES.c.model).where(IMAGES.c.id == image)).first()
        if found is None:
            return False
        place = int(connection.execute(select(func.coalesce(func.max(READS.c.place), 0))).scalar_one()) + 1
        blind = blind_room and found.shown is None
        row = {
            "image": image,
            "at": now(),
            "category": str(read["category"]),
            "agrees": read["agrees"],
            "regions": json.dumps(read["regions"]),
            "comment": read["comment"],
            "seconds": read["seconds"],
            "blind": blind,
            "place": place,
            "model": found.model or model,
            "reader": reader,
        }
        connection.execute(insert(READS).values(**row))
        latest = {"read_category": row["category"], "read_at": row["at"]}
        connection.execute(update(IMAGES).where(IMAGES.c.id == image).values(**latest))
        log(connection, reader, "read", model, image, f"{row['category']}{', blind' if blind else ''}")
    return True


def as_json(row: Row[Any]) -> dict[str, Any]:
    """A read as the API gives it."""
    return {
        "image": row.image,
        "at": row.at,
        "category": row.category,
        "agrees": row.agrees,
        "regions": json.loads(row.regions),
        "comment": row.comment,
        "seconds": row.seconds,
        "blind": row.blind,
        "order": row.place,
        "model": row.model,
        "reader": row.reader,
    }


def of_image(connection: Connection, image: str) -> list[dict[str, Any]]:
    """Every version of an image's read, the newest first."""
    rows = connection.execute(select(READS).where(READS.c.image == image).order_by(READS.c.number.desc()))
    return [as_json(row) for row in rows]


def latest(connection: Connection, blind: bool | None = None) -> list[Row[Any]]:
    """The latest read of each image, with what is known of the image, in the order of reading.

    Args:
        connection: to the store.
        blind: only reads that were blind, or only those that weren't; None for all.
    """
    reads = select(func.max(READS.c.number)).group_by(READS.c.image)
    if blind is not None:
        reads = reads.where(READS.c.blind == blind)
    known = (IMAGES.c.patient, IMAGES.c.age, IMAGES.c.sex, IMAGES.c.view, IMAGES.c.view_from, IMAGES.c.decision)
    more = (IMAGES.c.probability, IMAGES.c.status, REFERENCES.c.label, REFERENCES.c.standard)
    joined = READS.join(IMAGES, IMAGES.c.id == READS.c.image).outerjoin(
        REFERENCES, REFERENCES.c.image == READS.c.image
    )
    wanted = select(READS, *known, *more).select_from(joined).where(READS.c.number.in_(reads))
    return list(connection.execute(wanted.order_by(READS.c.number)).all())


def manifest(rows: Iterable[Row[Any]], store: Store) -> str:
    """The reads as a manifest in CSV: training, evaluation and adaptation read it without a mapping."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow(_safe(_manifest_row(row, store)))
    return out.getvalue()


def _manifest_row(row: Row[Any], store: Store) -> Sequence[object]:
    category = Category(row.category)
    boxes = [[r["x"], r["y"], r["x"] + r["width"], r["y"] + r["height"]] for r in json.loads(row.regions)]
    standard = f"one reader's appearance{', blind to the model' if row.blind else ''}"
    view = row.view if row.view_from == "header" else None
    return (
        store.path(row.image).resolve(), LABELS[category], row.patient, SOURCE, _FINDING[category], standard, view,
        row.age, row.sex, json.dumps([[round(edge, 5) for edge in box] for box in boxes]) if boxes else None,
        row.image, row.agrees, " ".join(row.comment.split()), row.seconds, row.blind, row.place, row.model, row.at,
    )  # fmt: skip


def _safe(cells: Iterable[object]) -> list[object]:
    """Cells that no spreadsheet takes for a formula: a comment is anybody's text."""
    return [f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t" and cell else cell for cell in cells]
