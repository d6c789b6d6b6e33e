"""What was done to the journal itself: by the guard, by `ektp audit restore`, by an administrator. All on one subject,
`ektp.<backbone>.audit.trail`; when it was noticed is the envelope's `time`."""

from typing import ClassVar, Literal

from pydantic import NonNegativeInt, PositiveInt

from events.fact import Fact

TRAIL = "trail"
Wrong = Literal["altered", "missing", "reordered", "truncated", "differs"]


class PutBack(Fact):
    """The guard found the journal's files damaged, or the server without what they hold, and built the journal anew;
    nothing is lost. `differs`: what the server had otherwise lies somewhere from `first` to `last`."""

    TYPE: ClassVar[str] = "id.go.ektp.audit.put_back.v1"
    why: Wrong  # of the first place
    first: PositiveInt  # positions from the first place that was wrong …
    last: NonNegativeInt  # … to the last, or to the journal's end where that was missing
    places: PositiveInt  # how many were wrong, counted up to 100
    source: Literal["archive", "set_aside"]  # set_aside: some from blocks of the server, which now lie in aside/
    events: NonNegativeInt  # in the journal that was built


class Restored(Fact):
    """`ektp audit restore` built the journal anew from what was left of it. The positions of what is lost are used again."""

    TYPE: ClassVar[str] = "id.go.ektp.audit.restored.v1"
    restored: NonNegativeInt  # events in the journal that was built
    lost: NonNegativeInt
    first_lost: PositiveInt | None = None  # the positions `first_lost`, `first_lost` + 1, …


class AdministrativeCall(Fact):
    """Someone asked the server to change the journal's stream, or to take events from it. No user of ours may."""

    TYPE: ClassVar[str] = "id.go.ektp.audit.administrative_call.v1"
    call: str  # of the JetStream API: STREAM.UPDATE …
    stream: str
    account: str
    user: str
    outcome: str  # `done`, or the server's error code and why it refused


AuditFact = PutBack | Restored | AdministrativeCall
