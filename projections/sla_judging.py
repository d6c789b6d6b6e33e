"""What follows from a row of the sla view: its case's timers, in which list it may belong, when operations must be told.

A row holds its events as text, a line for each, so that one more is added without reading the others. Pure.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from events.calendar import for_office
from events.offices import OFFICES
from events.rules import THE_BEGINNING, Rulebook
from events.stages import Stage
from events.standard import due
from events.timers import SHARES, Case, Step, Timer, judged, stands_still
from events.timers import instant as instant_of
from infra.database import instant, micros

FOR_EVER: Final = 2**62


def step_line(event_id: str, stage: Stage, is_return: bool, occurred: int, recorded: int) -> str:
    """An event that brought the case to a stage. Instants in microseconds."""
    return f"{event_id},{stage.value},{is_return:d},{occurred},{recorded}\n"


def correction_line(event_id: str, occurred: int) -> str:
    """That event occurred at another time."""
    return f"{event_id},,,{occurred},\n"


def told_line(target: str, start_id: str, share: int) -> str:
    """Operations were told so much of the target that this event started."""
    return f"{target},{start_id},{share}\n"


def case_of(row: Any, rules: Rulebook) -> Case:
    """The case in a row of the sla view, with its timers."""
    steps = list[Step]()
    for line in row.steps.splitlines():
        event_id, stage, is_return, occurred, recorded = line.split(",")
        at = instant(int(occurred))
        if stage:
            steps.append(Step(event_id, Stage(stage), is_return == "1", at, instant(int(recorded))))
        else:
            steps = [step._replace(occurred=at) if step.event_id == event_id else step for step in steps]
    return judged(Case(row.case, row.office, tuple(steps)), rules)


def judge(row: Any, rules: Rulebook) -> dict[str, Any]:
    """What follows from a row of the sla view, for the row."""
    case, told = case_of(row, rules), dict[tuple[str, str], int]()
    for line in row.told.splitlines():
        target, start_id, share = line.split(",")
        told[target, start_id] = max(int(share), told.get((target, start_id), 0))
    of_office = [timer for timer in case.timers if timer.target.is_breach]
    running = [timer for timer in of_office if not timer.stopped]
    listed = running + [timer for timer in of_office if timer.stopped and timer.stopped > timer.due]
    next_at = [_next(timer, told.get((timer.target.name, timer.start_id), 0)) for timer in of_office]
    look_from, look_until = 0, FOR_EVER
    if not stands_still(case):
        look_from = min((micros(timer.started + timer.target.limit * 3 / 4) for timer in listed), default=FOR_EVER)
        look_until = max((micros(timer.due) for timer in listed), default=0)
    return {
        "judged": row.case,
        "since": micros(case.steps[-1].occurred),
        "running": len(running),
        "look_from": look_from,
        "look_until": look_until,
        "next_at": min((micros(at) for at in next_at if at), default=None),
    }


def _next(timer: Timer, told: int) -> datetime | None:
    """When operations must next be told of it, after the share that they were told; None: of nothing more."""
    if timer.due < timer.known:
        return None
    instants = (instant_of(timer, share) for share in SHARES if share > told)
    first = next((at for at in instants if at >= timer.known), None)
    return first if first and (timer.stopped is None or first < timer.stopped) else None


def past_by(rules: Rulebook, known: datetime) -> datetime:
    """An instant so early that whatever starts by then, under whichever rules, is due before `known`."""
    calendars = {for_office(version.rule, office) for version in rules.calendars for office in OFFICES}
    targets = [target for version in rules.standards for target in version.rule.targets if target.is_breach]
    for days in (7, 30, 400):
        start = known - timedelta(days=days)
        if all(due(target, calendar, start) < known for target in targets for calendar in calendars):
            return start
    return THE_BEGINNING
