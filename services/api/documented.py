"""What the OpenAPI document says beyond the types: every answer, who may ask, and examples."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from services.access import requires
from services.api.problems import MEDIA_TYPE
from services.tokens import Role
from services.wire import InvalidRequest

_EXAMPLE = InvalidRequest([{"pointer": "/name", "in": "body", "message": "Field required"}]).document()
_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "message_id", "message_en", "retryable"],
    "properties": {
        "type": _TEXT | {"description": "/problems/ and the code"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT | {"description": "a sentence in the language that Accept-Language asks for"},
        "code": _TEXT | {"description": "stable, for programs"},
        "message_id": _TEXT,
        "message_en": _TEXT,
        "retryable": {"type": "boolean", "description": "the same request may succeed later"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"pointer": _TEXT, "in": _TEXT, "message": _TEXT}},
        },
    },
}
_SAYS = {
    304: "As known.",
    400: "Not readable: the JSON, or the Idempotency-Key.",
    401: "No token, or one that is not known.",
    403: "The token's role may not, or a foreign page asked with our cookie.",
    404: "No such receipt, or event.",
    409: "Understood, and the answer is no; nothing was written.",
    410: "Gone: an erased person, a position of another journal, or the rest of an answer.",
    413: "The body is too long.",
    422: "Not valid; or the Idempotency-Key was used with other content.",
    429: "Too many requests.",
    503: "For a moment this cannot be done.",
}
QUESTION = (401, 403, 422, 503)
COMMAND = (400, 401, 403, 404, 409, 413, 422, 503)


def answers(
    *statuses: int, example: Any, status: int = 200, media_type: str = "application/json"
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: problems of these statuses, and the answer of `status` with this example."""
    problem = {"content": {MEDIA_TYPE: {"schema": _PROBLEM, "example": _EXAMPLE}}}
    said: dict[int | str, dict[str, Any]] = {
        each: {"description": _SAYS[each]} | (problem if each >= 400 else {}) for each in statuses
    }
    kind = "array" if isinstance(example, list) else "object"
    return said | {status: {"content": {media_type: {"schema": {"type": kind}, "example": example}}}}


def routes(app: FastAPI) -> Iterator[tuple[str, str, tuple[Role, ...]]]:
    """(method, path, who may) of every route; nobody named: it is open."""
    for route in iter_route_contexts(app.routes):
        roles = tuple(_roles(route.original_route.dependant)) if isinstance(route.original_route, APIRoute) else ()
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, str(route.path), roles


def tell_roles(app: FastAPI) -> None:
    """Have each operation of the OpenAPI document name its roles, for people and as `x-roles`."""

    def document(make: Any) -> dict[str, Any]:
        made: dict[str, Any] = make()
        for method, path, roles in routes(app):
            operation = made["paths"].get(path, {}).get(method.lower())
            if operation and roles and "x-roles" not in operation:
                operation["x-roles"] = roles
                operation["description"] = f"{operation.get('description', '')}\n\nRoles: {', '.join(roles)}."
        return made

    app.openapi = partial(document, app.openapi)  # type: ignore[method-assign]


def _roles(dependant: Dependant) -> Iterator[Role]:
    for one in dependant.dependencies:
        if isinstance(one.call, requires):
            yield from one.call.roles
        yield from _roles(one)
