"""Puts the API, signing in and security headers on the HTTP app."""

from collections.abc import Callable

from fastapi import APIRouter, FastAPI

from infra.data_folder import DataFolder
from infra.journal import Journal
from infra.keystore import Keystore
from services.access import SecurityHeaders, access_router
from services.api.cases import case_router
from services.api.documented import tell_roles
from services.api.feed import feed_router
from services.api.offices import office_router
from services.api.persons import person_router
from services.api.problems import answer_problems
from services.api.views import view_router
from services.desk import Desk
from services.question_service import Questions
from services.tokens import KnownTokens


def add_api(
    app: FastAPI,
    folder: DataFolder,
    desk: Desk,
    questions: Questions,
    journal: Journal,
    keystore: Keystore,
    feed_position: Callable[[], int],
) -> None:
    """Commands go by `desk`, questions are answered here; `feed_position` as of services.api.feed."""
    app.state.tokens = KnownTokens(folder)
    api = APIRouter(prefix="/api")
    api.include_router(case_router(desk, questions))
    api.include_router(person_router(journal, keystore, questions))
    api.include_router(view_router(questions))
    api.include_router(office_router(desk))
    api.include_router(feed_router(journal, feed_position))
    app.include_router(api)
    app.include_router(access_router)
    answer_problems(app)
    app.add_middleware(SecurityHeaders)
    tell_roles(app)
