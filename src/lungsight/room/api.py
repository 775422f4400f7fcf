"""The REST API under ``/v1``."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import Row as StoredRow
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lungsight import RESEARCH_ONLY, __version__
from lungsight._text import as_words
from lungsight.room import answers, reads
from lungsight.room.inbox import Taken
from lungsight.room.listing import Query as Wanted
from lungsight.room.problems import MEDIA_TYPE, ProblemError
from lungsight.room.state import ImageId, Reader, Room, TheRoom, lacking
from lungsight.room.store import log, now
from lungsight.room.tables import AUDIT, REFERENCES

_FORM = "multipart/"  # what curl and urllib say of any bytes, application/x-www-form-urlencoded, is taken
_LARGEST_NUMBER = 2**31 - 1


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an operation, for the description."""
    described = {
        400: "The request can't be read.",
        401: "The room asks for a token.",
        403: "The finding is held back until the image is read, or another web page asked.",
        404: "There is no such image.",
        409: "The image isn't analysed, or not yet.",
        413: "It is too large.",
        415: "It is a form; send the file's bytes as they are.",
        421: "The room isn't asked under that name.",
        422: "The request, or the image, isn't as it must be.",
        501: "An extra isn't installed.",
        503: "The scanner isn't warm yet.",
        507: "The disk is full.",
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": described[status], "content": content} for status in (*statuses, 401, 421)}


router = APIRouter(prefix="/v1")
Offset = Annotated[int, Query(ge=0, le=_LARGEST_NUMBER)]
_BYTES = {"type": "string", "format": "binary"}


@router.get("/health", response_model=answers.Health, tags=["room"], responses=_problems())
def health(room: TheRoom) -> dict[str, Any]:
    """Counters, and how long the room has been open."""
    return room.health()


@router.get("/ready", tags=["room"], responses=_problems(503))
def ready(room: TheRoom) -> dict[str, bool]:
    """Whether the scanner is warm."""
    if not room.is_ready:
        why = room.worker.problem
        raise ProblemError(503, "The scanner isn't warm yet.", "It takes seconds." if why is None else str(why))
    return {"ready": True}


@router.get("/room", tags=["room"], responses=_problems())
def describe(room: TheRoom) -> dict[str, Any]:
    """The room's switches, limits and model, and the ways to alter an opened image."""
    kinds: list[dict[str, Any]] = []
    if lacking("altered") is None:
        from lungsight.room.altered import kinds_as_json

        kinds = kinds_as_json()
    return room.as_json() | {"kinds_of_alteration": kinds}


@router.post(
    "/images",
    status_code=202,
    response_model=answers.Received,
    tags=["images"],
    responses=_problems(403, 413, 415, 422, 507),
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": _BYTES}}}},
)
async def receive(
    request: Request, room: TheRoom, who: Reader, name: Annotated[str, Query(max_length=1000)] = ""
) -> Taken:
    """Take one file: an image, DICOM, or a zip of them. A report or an icon is passed over without an error.

    The body is the file's bytes as they are. Of ``name`` only the ending counts.
    """
    if request.headers.get("content-type", "").startswith(_FORM):
        raise ProblemError(415, "That is a form.", "Send the bytes of one file as the body.")
    incoming = await run_in_threadpool(room.inbox.receive)
    try:
        async with asyncio.timeout(room.inbox.limits.seconds):
            async for chunk in request.stream():
                incoming.write(chunk)
    except TimeoutError:
        incoming.discard()
        raise ProblemError(413, "Sending it took too long.", "Send fewer files at a time.") from None
    except BaseException:
        incoming.discard()
        raise
    taken = await run_in_threadpool(room.inbox.take, incoming, name)
    await run_in_threadpool(_tell_of, room, who, taken)
    return taken


def _tell_of(room: Room, who: str, taken: Taken) -> None:
    with room.store.writing() as connection:
        for image in taken.new:
            log(connection, who, "received", room.model.id, image)
    for image in taken.new:
        room.events.send("image", id=image, state="waiting")


@router.get("/images", response_model=answers.Worklist, tags=["images"], responses=_problems(422))
def worklist(
    room: TheRoom,
    who: Reader,
    decision: Annotated[str | None, Query(max_length=100)] = None,
    view: Annotated[str | None, Query(max_length=20)] = None,
    age_from: Annotated[float | None, Query(ge=0, le=200)] = None,
    age_to: Annotated[float | None, Query(ge=0, le=200)] = None,
    date_from: date | None = None,
    date_to: date | None = None,
    read: Literal["read", "unread"] | None = None,
    q: Annotated[str | None, Query(max_length=200)] = None,
    sort: Literal["urgency", "date", "arrival"] = "urgency",
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """The worklist, by urgency with the reason in words."""
    wanted = Wanted(
        decision, view, age_from, age_to,
        None if date_from is None else date_from.isoformat(),
        None if date_to is None else date_to.isoformat(),
        None if read is None else read == "read",
        q, sort, offset, limit,
    )  # fmt: skip
    return room.listing.images(wanted, who)


@router.get("/images/{image_id}", response_model=answers.ImageAnswer, tags=["images"], responses=_problems(404, 422))
def image(room: TheRoom, who: Reader, image_id: ImageId) -> dict[str, Any]:
    """One image with its finding, its reads and the patient's other images."""
    found = room.listing.image(image_id, who)
    if found is None:
        raise _no_image()
    return found


@router.delete("/images/{image_id}", status_code=204, tags=["images"], responses=_problems(403, 404, 422))
def remove(room: TheRoom, who: Reader, image_id: ImageId) -> None:
    """Delete an image's bytes, finding and reads. The audit log keeps that it was deleted."""
    if not room.store.delete(image_id):
        raise _no_image()
    if "pixels" in room.__dict__:
        room.pixels.forget(image_id)
    room.store.log(who, "deleted", room.model.id, image_id)
    room.events.send("deleted", id=image_id)


@router.get("/images/{image_id}/finding", tags=["images"], responses=_problems(403, 404, 409, 422))
def finding(room: TheRoom, who: Reader, image_id: ImageId) -> dict[str, Any]:
    """The finding alone: the line that ``lungsight scan --json`` writes, byte for byte."""
    line = str(_shown(room, who, image_id).json)
    return Response(line.encode("utf-8", "backslashreplace"), media_type="application/json")  # type: ignore[return-value]


@router.get(
    "/images/{image_id}/report", response_model=answers.Report, tags=["images"], responses=_problems(404, 422)
)
def report(room: TheRoom, who: Reader, image_id: ImageId) -> dict[str, Any]:
    """All that is known of an image, for a file."""
    model = {key: value for key, value in room.model.as_json().items() if key != "card"}
    head = {"made": now(), "research_only": RESEARCH_ONLY, "version": __version__, "rule": room.rule.name}
    return head | {"model": model, "image": image(room, who, image_id)}


@router.get(
    "/images/{image_id}/pixels", response_model=answers.PixelsAnswer, tags=["pixels"], responses=_problems(404, 422)
)
def pixels(room: TheRoom, image_id: ImageId) -> dict[str, Any]:
    """What a viewer must know: sizes, windows, spacing."""
    row = _row(room, image_id)
    return room.pixels.of(row).as_json(f"/v1/images/{image_id}/pixels", inverted=bool(row.inverted))


@router.get(
    "/images/{image_id}/pixels/{level}",
    tags=["pixels"],
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": _BYTES}}}, **_problems(404, 422)},
)
def level(room: TheRoom, image_id: ImageId, level: Annotated[int, "0: full size"]) -> Response:
    """The image as uint16, little-endian, row by row; each level is half as wide as the one before."""
    levels = room.pixels.of(_row(room, image_id)).levels
    if not 0 <= level < len(levels):
        raise ProblemError(404, "The image has no such level.", f"It has 0 to {len(levels) - 1}.")
    return Response(levels[level].tobytes(), media_type="application/octet-stream")


@router.get(
    "/images/{image_id}/evidence",
    response_model=answers.EvidenceMap,
    tags=["images"],
    responses=_problems(403, 404, 409, 422),
)
def evidence(room: TheRoom, who: Reader, image_id: ImageId) -> dict[str, Any]:
    """The evidence on the network's own grid: its mean plus the bias is the score."""
    row = _shown(room, who, image_id)
    if row.map is None:
        raise ProblemError(404, "There is no evidence: the image wasn't analysed.", "Its finding says why.")
    target = {"target": room.model.target, "target_words": as_words(room.model.target)}
    return {**json.loads(row.map), **target}


@router.get(
    "/images/{image_id}/picture",
    tags=["pixels"],
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {"schema": _BYTES}}}, **_problems(404, 422)},
)
def picture(room: TheRoom, image_id: ImageId) -> Response:
    """A small JPEG for a list."""
    row = _row(room, image_id)
    if row.picture is None:
        raise ProblemError(404, "There is no picture of it.", "There is one once it has been read.")
    return Response(row.picture, media_type="image/jpeg")


@router.put(
    "/images/{image_id}/read", response_model=answers.ImageAnswer, tags=["reads"], responses=_problems(403, 404, 422)
)
def save_read(room: TheRoom, who: Reader, image_id: ImageId, new: answers.NewRead) -> dict[str, Any]:
    """Save what a reader says of an image. From then on its finding is shown, also in a blind room."""
    blind, model = room.settings.blind, room.model.id
    if not reads.save(room.store, image_id, new.model_dump(), blind_room=blind, reader=who, model=model):
        raise _no_image()
    room.events.send("read", id=image_id)
    return image(room, who, image_id)


@router.put("/images/{image_id}/reference", status_code=204, tags=["reads"], responses=_problems(403, 404, 422))
def save_reference(room: TheRoom, who: Reader, image_id: ImageId, new: answers.NewReference) -> None:
    """Say what an image shows by something other than looking at it, such as RT-PCR."""
    _row(room, image_id)
    _refer(room, who, image_id, new.label, new.standard)


@router.delete("/images/{image_id}/reference", status_code=204, tags=["reads"], responses=_problems(403, 404, 422))
def remove_reference(room: TheRoom, who: Reader, image_id: ImageId) -> None:
    """Take the reference back."""
    _row(room, image_id)
    with room.store.writing() as connection:
        connection.execute(delete(REFERENCES).where(REFERENCES.c.image == image_id))
        log(connection, who, "reference", room.model.id, image_id, "removed")


@router.post(
    "/images/{image_id}/altered",
    response_model=answers.AlteredAnswer,
    tags=["teaching"],
    responses=_problems(403, 404, 409, 422, 501, 503),
)
def altered(room: TheRoom, who: Reader, image_id: ImageId, new: answers.NewAlteration) -> dict[str, Any]:
    """Alter the image as the audits do, and see what the model makes of it. Nothing is stored."""
    _need("altered")
    from lungsight.reading import ImageFile
    from lungsight.room.altered import Request as Asked
    from lungsight.room.altered import altered as alter

    row = _shown(room, who, image_id)
    if row.status != "read":
        raise ProblemError(409, "The image wasn't analysed, so there is no answer to move.", "Its finding says why.")
    scanner = room.worker.scanner
    if scanner is None:
        raise ProblemError(503, "The scanner isn't warm yet.", "It takes seconds.")
    asked = Asked(str(new.kind), new.strength, new.x, new.y, new.text)
    file = ImageFile(image_id, room.store.path(image_id))
    answer = alter(scanner.detector, room.model, file, asked)
    room.store.log(who, "altered", room.model.id, image_id, str(new.kind))
    return answer


@router.post(
    "/phantoms",
    status_code=202,
    response_model=answers.Received,
    tags=["teaching"],
    responses=_problems(403, 422, 501, 507),
)
def draw_phantoms(room: TheRoom, who: Reader, new: answers.NewPhantoms) -> Taken:
    """Draw simulated images whose label is known; they are marked, and their label is their reference."""
    _need("phantoms")
    from lungsight.room.phantoms import STANDARD, phantoms

    taken = Taken()
    for drawn in phantoms(new.count, new.label, new.shortcut, new.size, new.seed):
        entry, there = room.inbox.take_phantom(drawn.png, drawn.words)
        told = entry | {"name": "phantom"} if room.settings.blind else entry
        (taken.already if there else taken.images).append(told)
        _refer(room, who, str(entry["id"]), drawn.label, STANDARD)
    _tell_of(room, who, taken)
    return taken


@router.get(
    "/reads",
    tags=["reads"],
    response_model=list[answers.Read],
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, **_problems(422)},
)
def export(room: TheRoom, who: Reader, format: Literal["json", "csv"] = "json", blind: bool | None = None) -> Any:
    """The latest read of each image; as CSV a manifest that ``train``, ``evaluate`` and ``adapt`` read."""
    with room.store.reading() as connection:
        rows = reads.latest(connection, blind)
    room.store.log(who, "exported", room.model.id, note=f"{len(rows)} reads")
    if format == "json":
        return JSONResponse([reads.as_json(row) for row in rows])
    headers = {"content-disposition": 'attachment; filename="reads.csv"'}
    return Response(reads.manifest(rows, room.store), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/agreement", tags=["reads"], responses=_problems(501))
def agreement(room: TheRoom) -> dict[str, Any]:
    """Blind readers beside the model, and both beside the reference, with 95% intervals from resampling patients."""
    _need("agreement")
    from lungsight.room.agreement import agreement as reckon

    with room.store.reading() as connection:
        blind, every = reads.latest(connection, True), reads.latest(connection)
    return reckon(blind, len(every), room.model.target)


@router.get("/audit", response_model=answers.AuditLog, tags=["room"], responses=_problems(422))
def audit(
    room: TheRoom,
    image: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Who saw and did what, the newest first."""
    chosen = select(AUDIT) if image is None else select(AUDIT).where(AUDIT.c.image == image)
    with room.store.reading() as connection:
        total = connection.execute(select(func.count()).select_from(chosen.subquery())).scalar_one()
        rows = connection.execute(chosen.order_by(AUDIT.c.number.desc()).offset(offset).limit(limit)).all()
    names = ("at", "who", "what", "image", "model", "note")
    return {"total": total, "entries": [{name: getattr(row, name) for name in names} for row in rows]}


@router.get("/evidence", tags=["room"], responses=_problems())
def reports(room: TheRoom) -> dict[str, list[dict[str, Any]]]:
    """The evidence reports and comparisons in the folders that the room was opened with."""
    return {"reports": [report.as_json() for report in room.reports]}


@router.get(
    "/events",
    tags=["room"],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}, **_problems()},
)
async def events(room: TheRoom) -> StreamingResponse:
    """Server-sent events: ``image``, ``read``, ``deleted`` and ``ready``. After a reconnect, fetch the list anew."""
    return StreamingResponse(room.events.listen(), media_type="text/event-stream")


def _row(room: Room, image_id: str) -> StoredRow[Any]:
    row = room.listing.found(image_id)
    if row is None:
        raise _no_image()
    return row


def _shown(room: Room, who: str, image_id: str) -> StoredRow[Any]:
    """The row of an image whose finding may be shown, and from now on was."""
    row = _row(room, image_id)
    if room.listing.is_blinded(row):
        raise ProblemError(403, "The finding is held back until the image is read.", "Save a read first.")
    if row.json is None:
        raise ProblemError(409, "The image waits to be scanned.", "Ask again when its state is done.")
    room.listing.note_shown([row], who)
    return row


def _no_image() -> ProblemError:
    return ProblemError(404, "There is no such image.", "It may have been deleted.")


def _need(what: str) -> None:
    if (error := lacking(what)) is not None:
        raise error


def _refer(room: Room, who: str, image_id: str, label: str, standard: str) -> None:
    row = {"image": image_id, "label": label, "standard": standard, "at": now()}
    with room.store.writing() as connection:
        statement = insert(REFERENCES).values(**row)
        connection.execute(statement.on_conflict_do_update(index_elements=["image"], set_=row))
        log(connection, who, "reference", room.model.id, image_id, standard)  # the label would tell a blind reader
