"""Who may do what over HTTP. A route says its roles, and gets who asks:

    Auditor = Annotated[Caller, Depends(requires("auditor"))]
    @router.get("/case/{receipt}")
    async def case(receipt: str, caller: Auditor) -> ...:

What it needs is on the app: `app.state.tokens`, a services.tokens.KnownTokens. A token comes as `Authorization: Bearer …`,
or in the cookie that `POST /login` sets and `POST /logout` clears (HttpOnly, SameSite=Strict, Path=/). Whoever has none
that is known gets the problem NotSignedIn (401), whoever has another role NotAllowed (403); both are raised, and a handler
turns every Problem into problem details.

Requests that change something and come with the cookie must come from our own pages (CSRF): `Sec-Fetch-Site: same-origin`,
or, of browsers that do not send it, an `Origin` that is scheme and host of this very request. Neither given: refused.
A bearer token is never sent by a browser on its own, so these need nothing of the kind.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response, Security
from fastapi.responses import RedirectResponse
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from events.problem import Problem
from services.tokens import KnownTokens, Role

COOKIE = "ektp_token"
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",  # a receipt stands in the address of its status page
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_STORED_NOWHERE = "no-store"  # unless a route says otherwise
_CHANGE_NOTHING = {"GET", "HEAD", "OPTIONS"}
_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="A token: `ektp token add`.")
_COOKIE = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="cookie", description="The same, as `POST /login` sets it."
)


@dataclass(frozen=True)
class Caller:
    """Who asks: the token's name and role."""

    name: str
    role: Role


@dataclass(eq=False)
class NotSignedIn(Problem):
    """No token, or one that is not known (any more); nothing was done."""

    code: ClassVar[str] = "not_signed_in"
    status: ClassVar[int] = 401
    sentence_id: ClassVar[str] = "Perlu token yang berlaku; tidak ada yang dikerjakan. Masuk dulu, atau: ektp token add."
    sentence_en: ClassVar[str] = "This needs a valid token; nothing was done. Sign in, or: ektp token add."


@dataclass(eq=False)
class NotAllowed(Problem):
    """The token's role does not do this; nothing was done."""

    role: Role
    roles: tuple[Role, ...]
    code: ClassVar[str] = "not_allowed"
    status: ClassVar[int] = 403
    sentence_id: ClassVar[str] = "Peran {role} tidak berhak; tidak ada yang dikerjakan. Perlu salah satu dari: {needed}."
    sentence_en: ClassVar[str] = "The role {role} may not do this; nothing was done. It needs one of: {needed}."

    @property
    def needed(self) -> str:
        return ", ".join(self.roles)

    def message(self, lang: Any) -> str:
        return (self.sentence_id if lang == "id" else self.sentence_en).format(role=self.role, needed=self.needed)


@dataclass(eq=False)
class ForeignOrigin(Problem):
    """A page of somebody else asked the browser to do this; nothing was done."""

    code: ClassVar[str] = "foreign_origin"
    status: ClassVar[int] = 403
    sentence_id: ClassVar[str] = (
        "Permintaan ini tidak datang dari halaman kami; tidak ada yang dikerjakan. Buka halamannya lagi."
    )
    sentence_en: ClassVar[str] = "This did not come from one of our own pages; nothing was done. Open the page again."


@dataclass(frozen=True)
class requires:  # noqa: N801 (read as a word, where a route says it)
    """A dependency that gives the Caller. Raises NotSignedIn, NotAllowed, ForeignOrigin."""

    roles: tuple[Role, ...]

    def __init__(self, *roles: Role) -> None:
        object.__setattr__(self, "roles", roles)

    async def __call__(
        self,
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        cookie: Annotated[str | None, Security(_COOKIE)],
    ) -> Caller:
        clear = bearer.credentials if bearer else cookie
        token = _known(request).find(clear) if clear else None
        if token is None:
            raise NotSignedIn
        if token.role not in self.roles:
            raise NotAllowed(token.role, self.roles)
        if bearer is None and request.method not in _CHANGE_NOTHING and not _is_ours(request):
            raise ForeignOrigin
        request.state.caller = caller = Caller(token.name, token.role)
        return caller


access_router = APIRouter()


@access_router.post("/login", status_code=303, response_class=RedirectResponse, include_in_schema=False)
async def login(request: Request) -> Response:
    """Put the token of a form (`token`, and where to go then: `next`) into the browser's cookie. Raises as requires."""
    if "origin" in request.headers and not _is_ours(request):  # signed in as somebody else without noticing
        raise ForeignOrigin
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    clear = form.get("token", "").strip()
    if _known(request).find(clear) is None:
        raise NotSignedIn
    answer = RedirectResponse(_own_path(form.get("next", "/")), 303)
    secure = request.url.scheme == "https"  # on loopback there is no TLS
    answer.set_cookie(COOKIE, clear, path="/", httponly=True, samesite="strict", secure=secure)
    return answer


@access_router.post("/logout", status_code=303, response_class=RedirectResponse, include_in_schema=False)
async def logout(request: Request) -> Response:
    """Clear the cookie. Raises ForeignOrigin."""
    if COOKIE in request.cookies and not _is_ours(request):
        raise ForeignOrigin
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


class SecurityHeaders:
    """ASGI middleware: HEADERS on every answer, whoever gave it; what a route sets itself stays.

    Also what a dependency left in `request.state.headers`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                wanted = HEADERS | {"cache-control": _STORED_NOWHERE} | scope.get("state", {}).get("headers", {})
                message["headers"] = given + [
                    (name.encode(), value.encode()) for name, value in wanted.items() if name.encode() not in names
                ]
            await send(message)

        await self._app(scope, receive, with_headers)


def _known(request: Request) -> KnownTokens:
    known: KnownTokens = request.app.state.tokens
    return known


def _is_ours(request: Request) -> bool:
    """Whether one of our own pages sent it, as the browser says; no page can make the browser say otherwise."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") == f"{request.url.scheme}://{request.headers.get('host', '')}"


def _own_path(path: str) -> str:
    """A path of this host, never another's address."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"
