"""Every error that a person or a program is meant to read: a stable code, two sentences with its figures, a document."""

import re
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, Literal, get_args, get_origin

import orjson
import pytest

import events
import infra
import projections
import services
from events.problem import Problem
from events.stages import Stage
from services import refusals
from services.api.problems import HttpProblem
from services.desk import Told
from services.register import rejections

ROOMS = (events, infra, projections, services)
for room in ROOMS:
    for module in walk_packages(room.__path__, f"{room.__name__}."):
        import_module(module.name)

FAMILIES = {refusals.Refused, rejections.RowRejected}  # never raised themselves
AN_INSTANT = datetime(2026, 11, 25, 9, 0, 0, 7, tzinfo=UTC)


def kinds(base: type[Problem] = Problem) -> set[type[Problem]]:
    """Every problem that one of our rooms can raise."""
    below = {kind for child in base.__subclasses__() for kind in {child, *kinds(child)}}
    return {kind for kind in below - FAMILIES if kind.__module__.split(".")[0] in {room.__name__ for room in ROOMS}}


def example(kind: type[Problem]) -> Problem:
    if kind is HttpProblem:
        return HttpProblem(404)
    return Told(refusals.KeyReused().document()) if kind is Told else kind(*(value(field.type) for field in fields(kind)))


def value(annotation: Any) -> Any:
    """Something of that type. A type not listed here needs a thought: can JSON and a sentence hold it?"""
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        return (value(get_args(annotation)[0]),)
    if isinstance(annotation, type) and is_dataclass(annotation):
        return annotation()
    made: dict[Any, Any] = {str: "this", int: 7, float: 1.5, bool: True, date: date(2026, 11, 25), datetime: AN_INSTANT}
    made |= {Stage: Stage.QUEUED, list[str]: ["this"], list[dict[str, str]]: [{"pointer": "/x", "message": "wrong"}]}
    return made[annotation]


every_problem = pytest.mark.parametrize(
    "problem", [example(kind) for kind in sorted(kinds(), key=lambda kind: (kind.__module__, kind.__name__))], ids=repr
)


def test_problems_are_found_in_every_room_that_has_some() -> None:
    assert {kind.__module__.split(".")[0] for kind in kinds()} >= {"events", "infra", "services"}
    assert len(kinds()) > 50


@every_problem
def test_it_has_a_stable_code_and_the_http_status_of_an_error(problem: Problem) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", problem.code)
    assert 400 <= problem.status <= 599
    assert problem.retryable in (True, False)


@every_problem
def test_it_says_in_both_languages_what_is_wrong_with_its_figures_filled_in(problem: Problem) -> None:
    indonesian, english = problem.message("id"), problem.message("en")
    assert indonesian != english == str(problem)
    for sentence in (indonesian, english):
        assert sentence.strip() == sentence
        assert sentence
        assert not re.search(r"\{\w+\}", sentence), "a figure was not filled in"


@every_problem
def test_its_document_is_rfc_9457_json_with_its_figures(problem: Problem) -> None:
    read = orjson.loads(orjson.dumps(problem.document()))
    assert read["type"] == f"/problems/{problem.code}"
    assert (read["code"], read["status"], read["detail"]) == (problem.code, problem.status, read["message_en"])
    assert (read["message_id"], read["message_en"]) == (problem.message("id"), problem.message("en"))
    assert isinstance(read["title"], str)
    if not isinstance(problem, Told):  # it passes on a document that was made elsewhere
        assert {field.name for field in fields(problem)} <= set(read)


def test_figures_do_not_take_the_place_of_what_every_document_has() -> None:
    reserved = {"type", "title", "status", "detail", "code", "message_id", "message_en", "retryable"}
    others = kinds() - {HttpProblem}  # whose figure is its status
    clashes = {kind.__name__: names for kind in others if (names := reserved & {field.name for field in fields(kind)})}
    assert clashes == {}


def test_a_code_stands_for_one_thing() -> None:
    """A row of a register book may be refused for the reason that refuses a command: there the two share the code."""
    raised = sorted((kind for kind in kinds() if isinstance(vars(kind).get("code"), str)), key=lambda kind: kind.__name__)
    codes = [kind.code for kind in raised if not issubclass(kind, rejections.RowRejected)]
    of_rows = [kind.code for kind in raised if issubclass(kind, rejections.RowRejected)]
    assert len(set(codes)) == len(codes)
    assert len(set(of_rows)) == len(of_rows)


def test_no_refusal_and_no_rejection_has_room_for_a_nik_or_a_name() -> None:
    """Every text that they carry is listed here, so that a new one is thought about."""
    texts = {
        (kind.__name__, field.name)
        for kind in kinds()
        if kind.__module__ in {refusals.__name__, rejections.__name__}
        for field in fields(kind)
        if field.type not in (int, float, date, datetime, Stage)
    }
    assert texts == {
        ("CannotReturn", "back_to"),  # a stage
        ("CaseOpen", "receipt"),
        ("CardExists", "receipt"),
        ("NoSuchEvent", "event"),  # as asked for
        ("NothingCorrected", "field"),  # its name
        ("BadNik", "why"),  # length, date or serial
        ("CaseDiffers", "column"),  # its name
    }
