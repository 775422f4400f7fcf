"""Errors as RFC 9457 has them: one sentence, a hint and a status, as application/problem+json."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lungsight.errors import LungsightError, MissingExtraError, UnreadableImageError, printable
from lungsight.room.inbox import DiskFullError, TooMuchError

MEDIA_TYPE = "application/problem+json"
_STATUS: dict[type[LungsightError], int] = {
    TooMuchError: 413,
    DiskFullError: 507,
    UnreadableImageError: 422,
    MissingExtraError: 501,
}


class ProblemError(Exception):
    """Ends a request with an error.

    Args:
        status: of HTTP.
        title: one sentence.
        detail: what one can do, a sentence.
    """

    def __init__(self, status: int, title: str, detail: str = "") -> None:
        super().__init__(title)
        self.status, self.title, self.detail = status, title, detail


def problem(status: int, title: str, detail: str = "") -> Response:
    """The answer for an error."""
    return JSONResponse({"title": title, "detail": detail, "status": status}, status, media_type=MEDIA_TYPE)


def handle_problems(app: FastAPI) -> None:
    """Give every error of an application this form."""

    @app.exception_handler(ProblemError)
    def of_ours(_: Request, error: ProblemError) -> Response:
        return problem(error.status, error.title, error.detail)

    @app.exception_handler(LungsightError)
    def of_lungsight(_: Request, error: LungsightError) -> Response:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 422)
        return problem(status, f"{error.subject}: {error.problem}.", f"{error.hint[:1].upper()}{error.hint[1:]}.")

    @app.exception_handler(RequestValidationError)
    def of_input(_: Request, error: RequestValidationError) -> Response:
        first: dict[str, Any] = dict(error.errors()[0])
        where = ".".join(str(part) for part in first.get("loc", ()))
        title = printable(f"{where}: {first.get('msg', 'is wrong')}")[:300]
        return problem(422, f"{title}.", "The description of the API is at /v1/openapi.json.")

    @app.exception_handler(HTTPException)
    def of_http(_: Request, error: HTTPException) -> Response:
        answer = problem(error.status_code, f"{error.detail}.", "The description of the API is at /v1/openapi.json.")
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    def of_program(_: Request, error: Exception) -> Response:
        return problem(500, "The room made a mistake.", f"Please report it: {type(error).__name__}.")
