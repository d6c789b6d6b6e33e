"""The stages a case goes through, and the kinds of application (contract: stages and kinds).

`queued` means print-ready, not merely waiting; `printed` means a checked card in hand, not a job that a printer took.
"""

from enum import StrEnum


class Stage(StrEnum):
    """Where a case stands. `cancelled` may follow any stage but `collected`; both are final."""

    SUBMITTED = "submitted"
    RECORDED = "recorded"
    QUEUED = "queued"
    PRINTED = "printed"
    COLLECTED = "collected"
    CANCELLED = "cancelled"


class Kind(StrEnum):
    """Why a card is applied for."""

    NEW = "new"
    MOVED_IN = "moved_in"
    LOST = "lost"
    DAMAGED = "damaged"
    DATA_CHANGE = "data_change"


ORDER = (Stage.SUBMITTED, Stage.RECORDED, Stage.QUEUED, Stage.PRINTED, Stage.COLLECTED)
FINAL = frozenset({Stage.COLLECTED, Stage.CANCELLED})
OPEN = tuple(stage for stage in Stage if stage not in FINAL)
REPRINTS = frozenset(
    {Kind.LOST, Kind.DAMAGED, Kind.DATA_CHANGE}
)  # the person is recorded already: recording may be left out
