"""Outages, and versions of standard and calendar, against a real journal: noted once, and in force for what comes next."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from events.calendar import CALENDAR_V1
from events.offices import UnknownOffice
from events.rules import in_force
from events.stages import Kind
from events.standard import STANDARD_V1
from infra.nats_server import NatsServer
from services.commands import Submit
from services.office_handler import OfficeHandler
from services.outage import OutageBegin, OutageEnd, OutageNotBegun
from services.refusals import InFuture, KeyReused
from services.rules import FeeMustBeZero, InvalidCalendar, SetRule, ValidFromInThePast
from services.rules_in_force import RulesInForce, stored_rulebook
from tests.support import OFFICE, events
from tests.writing import Writer, resident, writing

NOW = datetime(2026, 11, 25, 9, tzinfo=CALENDAR_V1.zone)  # a Wednesday
LENIENT: dict[str, Any] = STANDARD_V1.model_dump(mode="json")
LENIENT["targets"] = [target | ({"limit": "P3D"} if target["name"] == "issuance" else {}) for target in LENIENT["targets"]]


@pytest.fixture
async def writer(server: NatsServer) -> AsyncIterator[Writer]:
    async with writing(server, now=lambda: NOW) as writer:
        yield writer


@pytest.fixture
def offices(server: NatsServer, writer: Writer) -> OfficeHandler:
    return OfficeHandler(writer.store, server.folder.secret(), writer.rules, lambda: NOW)


async def test_an_outage_is_noted_once_however_often_it_is_told(writer: Writer, offices: OfficeHandler) -> None:
    begun = await offices.outage(OutageBegin(office=OFFICE, cause="power"), "key")
    assert begun == {"office": OFFICE, "cause": "power", "open_since": NOW, "seq": 1}
    assert await offices.outage(OutageBegin(office=OFFICE, cause="power"), "key") == begun
    assert await offices.outage(OutageBegin(office=OFFICE, cause="power"), "another key") == begun
    with pytest.raises(KeyReused):
        await offices.outage(OutageBegin(office=OFFICE, cause="power", at=NOW - timedelta(hours=1)), "key")
    assert [event.name for event in await events(writer.journal)] == ["began"]


async def test_an_outage_of_the_past_is_entered_late_and_ends_before_the_one_that_lasts(offices: OfficeHandler) -> None:
    await offices.outage(OutageBegin(office=OFFICE, cause="network"), "now")
    begin = OutageBegin(office=OFFICE, cause="network", at=NOW - timedelta(days=9))
    await offices.outage(begin, "then")
    end = OutageEnd(office=OFFICE, cause="network", at=NOW - timedelta(days=8))
    assert (await offices.outage(end, "its end"))["open_since"] == NOW
    assert (await offices.outage(OutageBegin(office="367201", cause="network"), "elsewhere"))["seq"] == 4


async def test_what_cannot_be_is_refused(writer: Writer, offices: OfficeHandler) -> None:
    with pytest.raises(OutageNotBegun):
        await offices.outage(OutageEnd(office=OFFICE, cause="power"), "a")
    with pytest.raises(InFuture):
        await offices.outage(OutageBegin(office=OFFICE, cause="power", at=NOW + timedelta(seconds=1)), "b")
    with pytest.raises(UnknownOffice):
        await offices.outage(OutageBegin(office="999999", cause="power"), "c")
    for document, refusal in ((LENIENT | {"fee_rupiah": 5_000}, FeeMustBeZero),):
        with pytest.raises(refusal):
            await offices.set_rule(SetRule(command="standard_set", document=document), "d")
    with pytest.raises(InvalidCalendar):
        await offices.set_rule(SetRule(command="calendar_set", document={"zone": "Mars"}), "e")
    past = SetRule(command="standard_set", document=LENIENT, valid_from=NOW - timedelta(seconds=1))
    with pytest.raises(ValidFromInThePast):
        await offices.set_rule(past, "f")
    assert await events(writer.journal) == []


async def test_a_version_that_is_set_holds_for_what_is_submitted_from_then_on(
    server: NatsServer, writer: Writer, offices: OfficeHandler
) -> None:
    async def promised(serial: int) -> datetime | None:
        asked = Submit(office=OFFICE, nik=resident(serial), name="Siti Rahayu", kind=Kind.NEW)
        return (await writer.handler.handle(asked, f"{serial}")).promised

    assert await promised(1) == NOW.replace(day=26)
    asked = SetRule(command="standard_set", document=LENIENT)
    done = await offices.set_rule(asked, "key")
    assert (done["version"], done["valid_from"]) == (2, NOW)
    assert await offices.set_rule(asked, "key") == done
    assert (await offices.set_rule(asked, "another key"))["version"] == 2  # it holds already
    with pytest.raises(KeyReused):
        await offices.set_rule(SetRule(command="standard_set", document=STANDARD_V1.model_dump(mode="json")), "key")
    assert await promised(2) == NOW.replace(day=30, hour=7, minute=30)  # three days, and then it is the weekend
    rulebook = await stored_rulebook(writer.journal)
    assert [in_force(rulebook.standards, at).version for at in (NOW - timedelta(seconds=1), NOW)] == [1, 2]
    assert RulesInForce(rulebook)(OFFICE, NOW) == writer.rules(OFFICE, NOW)  # as a writer reads it that is started again


async def test_a_standard_and_a_calendar_that_are_set_at_once_are_both_in_force(
    writer: Writer, offices: OfficeHandler
) -> None:
    calendar = CALENDAR_V1.model_dump(mode="json")
    calendar["closed"]["2026-11-26"] = "banjir"
    await asyncio.gather(
        offices.set_rule(SetRule(command="standard_set", document=LENIENT), "standard"),
        offices.set_rule(SetRule(command="calendar_set", document=calendar), "calendar"),
    )
    in_force_now = writer.rules(OFFICE, NOW)
    assert (in_force_now.standard.version, in_force_now.calendar.version) == (2, 2)


async def test_a_day_on_which_one_office_is_closed_moves_what_that_office_promises(
    writer: Writer, offices: OfficeHandler
) -> None:
    calendar = CALENDAR_V1.model_dump(mode="json")
    calendar["offices"] = {OFFICE: {"2026-11-26": {"sessions": [], "why": "banjir"}}}
    await offices.set_rule(SetRule(command="calendar_set", document=calendar), "key")
    promised = []
    for serial, office in enumerate((OFFICE, "367201"), 1):
        asked = Submit(office=office, nik=resident(serial), name="Siti Rahayu", kind=Kind.NEW)
        promised.append((await writer.handler.handle(asked, f"{serial}")).promised)
    assert promised == [NOW.replace(day=27, hour=7, minute=30), NOW.replace(day=26)]
