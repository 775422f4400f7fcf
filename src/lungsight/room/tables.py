"""The tables of the room's database."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

SCHEMA_VERSION = 1
SCHEMA = MetaData()
IMAGES = Table(
    "images",
    SCHEMA,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("received", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("bytes", Integer, nullable=False),
    Column("name", Text),  # only with --keep-identifiers
    Column("patient", Text),  # a keyed digest
    Column("study_date", Text),
    Column("phantom", Text),  # what a phantom shows
    Column("shown", Text),  # when its finding was first in an answer
    # what the worklist sorts and filters by, from the finding
    Column("model", Text),
    Column("status", Text),
    Column("decision", Text),
    Column("probability", Float),
    Column("view", Text),
    Column("view_from", Text),
    Column("age", Float),
    Column("sex", Text),
    Column("height", Integer),
    Column("width", Integer),
    Column("points", Float),
    Column("another_kind", Boolean),
    Column("inverted", Boolean),
    Column("arrived", Text),
    # the latest read
    Column("read_category", Text),
    Column("read_at", Text),
    Index("by_state", "state", "number"),
    Index("by_patient", "patient"),
    sqlite_autoincrement=True,
)
FINDINGS = Table(
    "findings",
    SCHEMA,
    Column("image", Text, primary_key=True),
    Column("json", Text, nullable=False),
    Column("map", Text),
    Column("outline", Text),
    Column("picture", LargeBinary),
    Column("finished", Text, nullable=False),
)
READS = Table(
    "reads",
    SCHEMA,
    Column("number", Integer, primary_key=True),
    Column("image", Text, nullable=False, index=True),
    Column("at", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("agrees", Boolean),
    Column("regions", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("seconds", Float),
    Column("blind", Boolean, nullable=False),
    Column("place", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("reader", Text, nullable=False),
    sqlite_autoincrement=True,
)
REFERENCES = Table(
    "reference_labels",
    SCHEMA,
    Column("image", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("standard", Text, nullable=False),
    Column("at", Text, nullable=False),
)
AUDIT = Table(
    "audit",
    SCHEMA,
    Column("number", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("image", Text),
    Column("model", Text, nullable=False),
    Column("note", Text, nullable=False, default=""),
    Index("audit_by_image", "image"),
    sqlite_autoincrement=True,
)
