"""Every error as problem details (RFC 9457), its sentence in the language that `Accept-Language` asks for (id or en).

What was submitted is never repeated: it may be a name or a NIK. Fields that are not valid are named by JSON pointers
(RFC 6901) into where they came from: body, path, query, header or cookie.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from events.problem import Lang, Problem
from services.wire import InvalidRequest, problem_of

MEDIA_TYPE = "application/problem+json"
BODY_BYTES_MAX = 16 << 10  # of a command: names and reasons are bounded, see services.commands
_AGAIN_S = 1  # when to come again after a problem that passes


@dataclass(eq=False)
class HttpProblem(Problem):
    """What HTTP itself has to say against a request, such as 404 or 405; nothing was done."""

    status: int  # type: ignore[misc]
    sentence_id: ClassVar[str] = "Alamat atau cara permintaan ini tidak dapat dilayani ({status}). Lihat /openapi.json."
    sentence_en: ClassVar[str] = "This address, or this way of asking, is not served ({status}). See /openapi.json."

    @property
    def code(self) -> str:  # type: ignore[override]
        return HTTPStatus(self.status).phrase.lower().replace(" ", "_").replace("-", "_")


@dataclass(eq=False)
class BodyTooLarge(Problem):
    """No request of ours is as long as this; nothing was done."""

    bytes_max: int
    code: ClassVar[str] = "body_too_large"
    status: ClassVar[int] = 413
    sentence_id: ClassVar[str] = "Isi permintaan lebih dari {bytes_max} byte; tidak ada yang dikerjakan. Kirim lebih pendek."
    sentence_en: ClassVar[str] = "The body has more than {bytes_max} bytes; nothing was done. Send a shorter one."


def answer_problems(app: FastAPI) -> None:
    """Have `app` answer every error in this way."""
    app.add_middleware(_Guarded)

    @app.exception_handler(Problem)
    async def typed(request: Request, problem: Problem) -> Response:
        return problem_answer(request, problem)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        return problem_answer(request, InvalidRequest([_pointed(detail) for detail in error.errors()]))

    @app.exception_handler(HTTPException)
    async def by_http(request: Request, error: HTTPException) -> Response:
        return problem_answer(request, HttpProblem(error.status_code), error.headers)


def problem_answer(request: HTTPConnection, problem: Problem, headers: Any = None) -> Response:
    """The answer to this request that says so."""
    lang, document = language(request), problem.document()
    document["detail"] = problem.message(lang)
    more = {"content-language": lang, "vary": "accept-language"} | dict(headers or {})
    if document["status"] == HTTPStatus.UNAUTHORIZED:
        more["www-authenticate"] = "Bearer"
    if document["retryable"]:
        more["retry-after"] = str(document.get("retry_after", _AGAIN_S))
    body = orjson.dumps(document, default=str)
    return Response(body, document["status"], more, MEDIA_TYPE)


def language(request: HTTPConnection) -> Lang:
    """What `Accept-Language` (RFC 9110, 12.5.4) likes best of the two; Indonesian where it likes them the same."""
    liked: dict[str, float] = {}
    for part in request.headers.get("accept-language", "").split(","):
        name, _, weight = part.strip().lower().partition(";q=")
        try:
            liked.setdefault(name.partition("-")[0], float(weight or 1))
        except ValueError:
            continue
    rest = liked.get("*", 0)
    return "en" if liked.get("en", rest) > liked.get("id", rest) else "id"


def _pointed(detail: dict[str, Any]) -> dict[str, str]:
    """Where and what, without the value."""
    where, *path = (str(part).encode("utf-8", "replace").decode() for part in detail["loc"])
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    return {"pointer": pointer, "in": where, "message": detail["msg"]}


class _Guarded:
    """ASGI middleware: a mistake of ours is a problem too, and a body that is too long is not read to its end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            limited = scope["path"].startswith(("/api/", "/login"))
            await self._app(scope, await _read(receive) if limited else receive, noted)
        except Exception as error:
            if begun:
                raise
            await problem_answer(HTTPConnection(scope), problem_of(error))(scope, receive, send)


async def _read(receive: Receive) -> Receive:
    """The whole body, to be given once more. Raises BodyTooLarge."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLarge(BODY_BYTES_MAX)
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again
