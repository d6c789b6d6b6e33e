"""What was true then, and what was known then: views folded afresh from the journal into a scratch database.

`as_of` cuts by when things occurred, `as_recorded` by when the journal took them; both may be given. A correction applies
to its event from that event's own time on, if it was recorded by then.
"""

import asyncio
from contextlib import aclosing
from datetime import datetime

import sqlalchemy as sa

from events.application import Corrected
from events.envelope import Event, decode, subject
from events.offices import BACKBONE_ID
from infra.database import create_tables, scratch_database
from infra.journal import Journal, Stored
from infra.journal_reader import read
from projections import status
from projections.views import Projection

_CLAIMS = subject(BACKBONE_ID, "resident", "")  # of interest to no view, and one message in six
Corrections = dict[str, tuple[datetime | None, str | None]]


async def fold(
    journal: Journal,
    live: sa.Engine,
    projection: Projection,
    until_seq: int,
    as_of: datetime | None,
    as_recorded: datetime | None,
    office: str | None = None,
) -> sa.Engine:
    """A scratch database with the rows of `projection` as of then. Ask it with the projection's own questions.

    `live`: the running views, which know the corrections. `office`: leave out what is about another one. Raises
    JournalDamaged.
    """
    with live.connect() as db:
        corrected = status.corrections(db, as_recorded)
    scratch = scratch_database()
    create_tables(scratch, [projection.TABLES], indexes=False)
    about = (subject(office, "", "")[:-1], subject(BACKBONE_ID, "", "")[:-1]) if office else "ektp."
    async with aclosing(read(journal, 0, until_seq)) as batches:
        async for batch in batches:
            wanted = [one for one in batch if one.subject.startswith(about) and not one.subject.startswith(_CLAIMS)]
            if await asyncio.to_thread(_apply, scratch, projection, wanted, corrected, as_of, as_recorded):
                break
    await asyncio.to_thread(create_tables, scratch, [projection.TABLES])  # what is missing: the indexes
    return scratch


def _apply(
    scratch: sa.Engine,
    projection: Projection,
    batch: list[Stored],
    corrected: Corrections,
    as_of: datetime | None,
    as_recorded: datetime | None,
) -> bool:
    """Apply what counts of a batch; returns whether all that follows was recorded too late."""
    events = [_as_corrected(decode(stored.body, stored.seq), corrected) for stored in batch]
    counting = [event for event in events if counts(event, as_of, as_recorded)]
    with scratch.begin() as db:
        projection.apply(db, counting)
    last = events[-1].recorded if events else None
    return bool(as_recorded and last and last > as_recorded)  # recorded times never go backwards


def _as_corrected(event: Event, corrected: Corrections) -> Event:
    """The event with what the last correction of it says; an earlier correction says the same, so that it undoes nothing."""
    if isinstance(event.fact, Corrected) and event.fact.corrects in corrected:
        occurred, actor = corrected[event.fact.corrects]
        return event._replace(fact=event.fact.model_copy(update={"at": occurred, "new_actor": actor}))
    if event.id not in corrected:
        return event
    occurred, actor = corrected[event.id]
    return event._replace(occurred=occurred or event.occurred, actor=actor or event.actor)


def counts(event: Event, as_of: datetime | None, as_recorded: datetime | None) -> bool:
    """Whether it had happened by then, and was known by then."""
    assert event.recorded is not None
    return (as_of is None or event.occurred <= as_of) and (as_recorded is None or event.recorded <= as_recorded)
