"""What an office cannot work with, read from the journal: one question for all its causes."""

from collections import Counter
from collections.abc import Callable

from events.envelope import Event, decode, subject
from events.outage import OfficeOutages, OutageBegan, OutageEnded, with_fact
from infra.journal import Journal
from infra.journal_errors import JournalDamaged


async def office_outages(journal: Journal, office: str, counts: Callable[[Event], bool] = lambda _: True) -> OfficeOutages:
    """The office's outages, by the facts that `counts` lets count. Raises JournalDamaged, JournalBusy."""
    known: OfficeOutages = {}
    versions = Counter[str]()
    for stored in await journal.messages(subject(office, "outage", "*")):
        event = decode(stored.body, stored.seq)
        versions[stored.subject] += 1
        if event.version != versions[stored.subject]:
            raise JournalDamaged(stored.subject, f"its event {versions[stored.subject]} cannot be read")
        if counts(event):
            assert isinstance(event.fact, OutageBegan | OutageEnded)
            known = with_fact(known, event.fact, event.occurred)
    return known
