"""The service standard and the calendar that are in force, as the writer holds them."""

from datetime import datetime

from events.calendar import for_office
from events.rules import CalendarSet, Rulebook, StandardSet, evolve, in_force
from infra.journal import Journal
from services.application import Rules
from services.rules import CALENDAR_SUBJECT, STANDARD_SUBJECT


class RulesInForce:
    """Asked as a function; changed only by what sets a version."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook

    def __call__(self, office: str, at: datetime) -> Rules:
        """What is in force for this office at the aware instant `at`."""
        calendar = for_office(in_force(self.rulebook.calendars, at), office)
        return Rules(in_force(self.rulebook.standards, at), calendar)


async def stored_rulebook(journal: Journal) -> Rulebook:
    """All versions that the journal holds. Raises JournalDamaged, JournalBusy."""
    rulebook = Rulebook()
    for subject in (CALENDAR_SUBJECT, STANDARD_SUBJECT):
        for event in await journal.load(subject):
            assert isinstance(event.fact, CalendarSet | StandardSet), f"not a rule: {event.fact.TYPE}"
            rulebook = evolve(rulebook, event.fact)
    return rulebook
