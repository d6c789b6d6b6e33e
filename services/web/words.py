"""What codes are called on a page, as messages of the catalogue: `_(STAGE["queued"])` in a template."""

from typing import Final

from events.stages import Kind, Stage


def marked(message: str) -> str:
    """The message itself; translators find it by this call."""
    return message


STAGE: Final = {
    Stage.SUBMITTED: marked("Submitted"),
    Stage.RECORDED: marked("Recorded"),
    Stage.QUEUED: marked("Ready to print"),
    Stage.PRINTED: marked("Printed"),
    Stage.COLLECTED: marked("Collected"),
    Stage.CANCELLED: marked("Cancelled"),
}
EVENT: Final = {str(stage): name for stage, name in STAGE.items()} | {
    "returned": marked("Returned"),
    "corrected": marked("Corrected"),
    "warned": marked("Warned"),
    "breached": marked("Deadline missed"),
}
KIND: Final = {
    Kind.NEW: marked("first card"),
    Kind.MOVED_IN: marked("moved here"),
    Kind.LOST: marked("lost card"),
    Kind.DAMAGED: marked("damaged card"),
    Kind.DATA_CHANGE: marked("changed data"),
}
TARGET: Final = {
    "recording": marked("recording"),
    "queueing": marked("check for a double"),
    "printing": marked("printing"),
    "issuance": marked("issuance"),
    "collection": marked("collection"),
}
CAUSE: Final = {  # also whom or what a case waits for
    "office": marked("the district office"),
    "centre": marked("the centre"),
    "blank_stock": marked("blank cards"),
    "power": marked("electric power"),
    "network": marked("the network"),
    "equipment": marked("equipment"),
    "applicant": marked("the applicant"),
    "closed": marked("closed hours"),
}
OUTAGE: Final = {
    "blank_stock": marked("blank cards have run out"),
    "power": marked("there is no electric power"),
    "network": marked("the network is down"),
    "equipment": marked("equipment is out of order"),
}
PREVENTED_BY: Final = {  # a broken target, by what a case waits for now
    "submitted": marked("Record these applicants before then."),
    "recorded": marked("Ask the centre for its answer, and mark the cases as ready to print."),
    "queued": marked("Print and check these cards before then."),
    "blank_stock": marked("Bring blank cards to the office, or print at another one."),
    "power": marked("Bring a generator, or send the work to another office."),
    "network": marked("Restore the link or use a mobile one."),
    "equipment": marked("Repair or replace the equipment, or send the work to another office."),
}
BRING: Final = {
    Kind.NEW: marked("Your family card (KK)."),
    Kind.MOVED_IN: marked("Your family card (KK) and the certificate of moving (SKPWNI)."),
    Kind.LOST: marked("Your family card (KK) and the police report of the loss."),
    Kind.DAMAGED: marked("Your family card (KK) and the damaged card."),
    Kind.DATA_CHANGE: marked("Your family card (KK), the old card, and proof of what has changed."),
}
BRING_RECEIPT: Final = marked("This receipt. If you have an old card, bring it too.")
