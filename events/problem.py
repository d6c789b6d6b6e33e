"""What goes back when the answer is no: a stable code, figures as fields, one sentence in Indonesian and in English.

Subclasses are dataclasses; their two sentences are templates over the fields. The wire form is RFC 9457 problem details.
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

Lang = Literal["id", "en"]


@dataclass(eq=False)
class Problem(Exception):
    """Base of every error that a person or a program is meant to read. `code` is stable, the wording is not."""

    code: ClassVar[str]
    sentence_id: ClassVar[str]
    sentence_en: ClassVar[str]
    status: ClassVar[int] = 422  # HTTP status (RFC 9110) of the problem document
    retryable: ClassVar[bool] = False  # the same request may be sent again, unchanged, and may then succeed

    def message(self, lang: Lang) -> str:
        """The sentence for a person, with the figures filled in."""
        return (self.sentence_id if lang == "id" else self.sentence_en).format(**vars(self))

    def __str__(self) -> str:
        return self.message("en")

    def document(self) -> dict[str, Any]:
        """RFC 9457 problem details, with `code`, both sentences and the figures as extension members."""
        return {
            "type": f"/problems/{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "detail": self.message("en"),
            "code": self.code,
            "message_id": self.message("id"),
            "message_en": self.message("en"),
            "retryable": self.retryable,
        } | {field.name: getattr(self, field.name) for field in fields(self)}
