"""A problem as a page, where a browser asks; everybody else gets problem details (services.api.problems)."""

from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from events.problem import Problem
from events.receipt import InvalidReceipt
from services.access import NotSignedIn
from services.api.problems import HttpProblem, problem_answer
from services.web.language import lang_of
from services.web.page import page


def show_problems(app: FastAPI) -> None:
    """Have `app` answer browsers so. After services.api.problems.answer_problems, whose handlers these call."""

    @app.exception_handler(Problem)
    async def typed(request: Request, problem: Problem) -> Response:
        return _shown(request, problem) if wants_page(request) else problem_answer(request, problem)

    @app.exception_handler(HTTPException)
    async def by_http(request: Request, error: HTTPException) -> Response:
        problem = HttpProblem(error.status_code)
        return _shown(request, problem) if wants_page(request) else problem_answer(request, problem, error.headers)


def wants_page(request: Request) -> bool:
    """Whether a browser asks: programs do not name HTML."""
    return "text/html" in request.headers.get("accept", "")


def wants_json(request: Request) -> bool:
    """Whether a program asks for the document of a page."""
    return "application/json" in request.headers.get("accept", "") and not wants_page(request)


def _shown(request: Request, problem: Problem) -> Response:
    if isinstance(problem, NotSignedIn):
        if request.method != "GET":  # the form of `GET /login`, with a token that is not known
            return page(request, "login.html", 401, next="/board", wrong=True)
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'next': there})}", 303)
    headers = {"retry-after": str(getattr(problem, "retry_after", 1))} if problem.retryable else {}
    if isinstance(problem, InvalidReceipt):
        return page(request, "unknown.html", 404)
    return page(request, "problem.html", problem.document()["status"], headers, says=problem.message(lang_of(request)))
