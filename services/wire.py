"""What goes over NATS between those who ask and the services: headers, and problems that any service may answer."""

from dataclasses import dataclass
from typing import Any, ClassVar

import structlog
from pydantic import ValidationError

from events.problem import Problem

log = structlog.get_logger()

PROBLEM_HEADER = "ektp-problem"  # on a reply: its body is a problem, and this its code
KEY_HEADER = "Idempotency-Key"
CORRELATION_HEADER = "ektp-correlation"


@dataclass(eq=False)
class InvalidRequest(Problem):
    """The body is not what this subject takes; `errors` names each field. Nothing was done."""

    errors: list[dict[str, str]]
    code: ClassVar[str] = "invalid_request"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Isian tidak sah: {fields}. Betulkan lalu kirim lagi."
    sentence_en: ClassVar[str] = "These entries are not valid: {fields}. Correct them and send again."

    @property
    def fields(self) -> str:
        return "; ".join(f"{error['pointer']} ({error['message']})" for error in self.errors)

    def message(self, lang: Any) -> str:
        return (self.sentence_id if lang == "id" else self.sentence_en).format(fields=self.fields)


@dataclass(eq=False)
class TooBusy(Problem):
    """More requests are under way than this service takes on; nothing was done."""

    code: ClassVar[str] = "too_busy"
    status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Layanan sedang sangat sibuk; belum ada yang dikerjakan. Ulangi sebentar lagi."
    sentence_en: ClassVar[str] = "The service is very busy; nothing was done. Try again in a moment."


@dataclass(eq=False)
class Unexpected(Problem):
    """A mistake of ours; the log has the rest. Whether something was stored is told by asking for the case."""

    kind: str
    code: ClassVar[str] = "unexpected"
    status: ClassVar[int] = 500
    sentence_id: ClassVar[str] = "Kesalahan tak terduga ({kind}). Lihat catatan layanan; ulangi dengan kunci yang sama."
    sentence_en: ClassVar[str] = "An unexpected error ({kind}). See the service's log; try again with the same key."


def problem_of(error: BaseException) -> Problem:
    """The problem to answer with. Values that did not validate are left out: they may be a name or a NIK."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False, include_context=False, include_input=False)
        return InvalidRequest(
            [
                {"pointer": "/" + "/".join(str(part) for part in detail["loc"] if part != "body"), "message": detail["msg"]}
                for detail in details
            ]
        )
    log.error("unexpected", exc_info=error)
    return Unexpected(type(error).__name__)
