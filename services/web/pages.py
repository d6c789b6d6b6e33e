"""All pages, and how they are put into the app that serves HTTP."""

from importlib.resources.abc import Traversable
from typing import Final

import sqlalchemy as sa
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response

from infra.data_folder import DataFolder
from infra.journal import Journal
from services.question_service import Questions
from services.web.board import Board
from services.web.board_page import board_router
from services.web.case_page import case_router
from services.web.live import Live
from services.web.page import STATIC, page
from services.web.problem_page import show_problems
from services.web.status_page import status_router

_TYPES: Final = {"css": "text/css", "js": "text/javascript"}
_A_DAY: Final = "public, max-age=86400"  # the address changes with the content


def add_pages(
    app: FastAPI, folder: DataFolder, journal: Journal, engine: sa.Engine, questions: Questions, live: Live
) -> None:
    """After services.api.problems.answer_problems, which answers everybody but browsers. `live` must run."""
    app.include_router(status_router(questions, journal, live))
    app.include_router(board_router(Board(engine, questions), live))
    app.include_router(case_router(folder, journal))
    app.include_router(_rest())
    show_problems(app)


def _rest() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    known: dict[str, Traversable] = {file.name: file for file in STATIC.iterdir()}

    @router.get("/login")
    async def login(request: Request, next: str = "/board") -> Response:
        """A form for a token; `POST /login` takes it."""
        return page(request, "login.html", next=next, wrong=False)

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        """One of our files."""
        if name not in known:
            raise HTTPException(404)
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(known[name].read_bytes(), headers={"cache-control": _A_DAY}, media_type=kind)

    return router
