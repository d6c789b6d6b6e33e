"""That a person is to be forgotten: who ordered it, when, and for which cases. The order outlives the person's key.

It names nobody: the resident's id is random, and with the key its way back to a NIK is gone. Why is on paper alone: a reason
speaks of a person, and sealed with a key that goes it would be lost; `digest` recognises the paper's words.
"""

from typing import ClassVar

from events.fact import Fact


class ErasureOrdered(Fact):
    """From here on the person's key is destroyed: at once, or, after a crash, when the writer starts again."""

    TYPE: ClassVar[str] = "id.go.ektp.erasure.ordered.v1"
    digest: str  # keyed digest of the whole command, the reason included
    cases: tuple[str, ...]  # all case ids that the resident ever claimed
