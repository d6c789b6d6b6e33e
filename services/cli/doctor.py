"""What `ektp doctor` looks at. A remark is a check with ok true; ok false only where something is wrong now."""

from dataclasses import dataclass
from typing import Any

from events.envelope import decode
from events.offices import BACKBONE_ID
from events.problem import Problem
from infra.data_folder import RECORD_MIB_MIN, DataFolder, free_bytes, require_room
from infra.guard.halt import halted
from infra.journal import STREAM_CONFIG, Journal
from infra.nats_configuration import batch_directories
from services.desk import Desk
from services.questions import LAG_EVENTS_MAX

BATCH_DIRECTORIES_MAX = 100  # 50 may be in flight; more stay behind (nats-server#8472) and cost the server's start
COMPARE_S_MAX = 3_600.0  # a minute for a whole city's history; a reader that dies meanwhile is noticed at once


@dataclass
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    says: str


async def examine(desk: Desk) -> list[Check]:
    """All checks of a running backbone. A part that does not answer is a failed check, not an error."""
    journal = await desk.journal()
    return [
        *await _journal(journal),
        await _clock(journal),
        await _answers(desk, "writer", f"cmd.ektp.{BACKBONE_ID}.ping"),
        await _views(desk),
        _guard(desk.folder),
        _disk(desk.folder),
        _keys(desk.folder),
        _batches(desk.folder),
    ]


async def compare_views(desk: Desk) -> tuple[Check, list[dict[str, Any]]]:
    """The live views with a fold of the journal, row by row, and what differs: the first of them."""
    try:
        found = await desk.request(f"ask.ektp.{BACKBONE_ID}.compare", b"", timeout_s=COMPARE_S_MAX)
    except Problem as problem:
        return Check("compare", False, problem.message("en")), []
    says = f"{found['rows']} rows against a fold of {found['position']} events: {found['count']} differences"
    cure = "; run: ektp rebuild" if found["count"] else ""
    return Check("compare", not found["count"], says + cure), found["differences"]


async def scrub(desk: Desk) -> Check:
    """Everything read and compared: journal, archive, signed log. What is wrong with the log is made good."""
    try:
        found = await desk.request(f"ask.ektp.{BACKBONE_ID}.scrub", b"", timeout_s=COMPARE_S_MAX)
    except Problem as problem:
        return Check("scrub", False, problem.message("en"))
    if found["ok"]:
        return Check("scrub", True, f"{found['size']} signed events are whole, {found['unanchored']} not yet signed")
    wrong, files = found["first_wrong"], ", ".join(file["path"] for file in found["files"])
    says = f"event {wrong['seq']} {wrong['why']}" if wrong else ""
    return Check("scrub", False, "; ".join(filter(None, [says, f"files: {files}" if files else ""])))


async def _journal(journal: Journal) -> list[Check]:
    try:
        info = await journal.info()
    except Problem as problem:
        return [Check("journal", False, problem.message("en"))]
    state, config = info["state"], info["config"]
    holes = state.get("num_deleted", 0) or state["last_seq"] - state["messages"]
    wrong = sorted(key for key, value in STREAM_CONFIG.items() if value and config.get(key) != value)
    return [
        Check("journal", not holes, f"{state['messages']} events, last {state['last_seq']}, {holes} missing"),
        Check("journal settings", not wrong, f"differ: {', '.join(wrong)}" if wrong else "as they should be"),
    ]


async def _clock(journal: Journal) -> Check:
    newest = await journal.newest()
    if newest is None:
        return Check("clock", True, "no event yet")
    recorded = decode(newest.body, newest.seq).recorded
    assert recorded is not None
    ahead_s = (recorded - type(recorded).now(recorded.tzinfo)).total_seconds()
    says = f"last event recorded {recorded.isoformat(timespec='seconds')}"
    behind = ahead_s >= 60
    return Check("clock", not behind, f"{says}: this computer's clock is {ahead_s:.0f} s behind it" if behind else says)


async def _answers(desk: Desk, name: str, subject: str) -> Check:
    try:
        await desk.request(subject, b"", timeout_s=5)
    except Problem as problem:
        return Check(name, False, problem.message("en"))
    return Check(name, True, "answers")


async def _views(desk: Desk) -> Check:
    try:
        lag = await desk.ask("lag")
    except Problem as problem:
        return Check("views", False, problem.message("en"))
    if lag["stopped_by"]:
        return Check("views", False, f"stopped at {lag['position']}: {lag['stopped_by']['message_en']}")
    if lag["set_aside"]:
        which = ", ".join(f"{name}: events of {count} case(s)" for name, count in lag["set_aside"].items())
        return Check("views", False, f"set aside as not understood, {which}; after an update run: ektp retry")
    return Check("views", lag["lag_events"] <= LAG_EVENTS_MAX, f"at {lag['position']}, {lag['lag_events']} events behind")


def _guard(folder: DataFolder) -> Check:
    why = halted(folder)
    return Check("guard", why is None, why.message("en") if why else "the journal is as the log knows it")


def _disk(folder: DataFolder) -> Check:
    try:
        require_room(folder)
    except Problem as problem:
        return Check("disk", False, problem.message("en"))
    return Check("disk", True, f"{free_bytes(folder) >> 20} MiB free; below {RECORD_MIB_MIN} MiB nothing is recorded")


def _keys(folder: DataFolder) -> Check:
    open_to_others = [path.name for path in (folder.keys, *folder.keys.iterdir()) if path.stat().st_mode & 0o077]
    if open_to_others:
        return Check("keys", False, f"others may read: {', '.join(open_to_others)}; run: chmod -R go= {folder.keys}")
    return Check("keys", True, "ours alone")


def _batches(folder: DataFolder) -> Check:
    count = batch_directories(folder)
    return Check("batches", count <= BATCH_DIRECTORIES_MAX, f"{count} left-over directories in the server's store")
