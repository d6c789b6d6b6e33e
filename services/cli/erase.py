"""`ektp erase`: forget the person behind a receipt."""

from typing import Annotated

import typer

from services.cli.at_desk import at_desk
from services.cli.cases import Actor, Key, Receipt
from services.cli.session import Session, ektp_command
from services.erasure import Erase


def add_to(app: typer.Typer) -> None:
    """Register this command."""

    @ektp_command(app, "erase")
    async def erase(
        session: Session,
        receipt: Receipt,
        reason: Annotated[str, typer.Option("--reason", help="Why, as on the paper that orders it; not kept here.")],
        actor: Actor = None,
        idempotency_key: Key = None,
    ) -> None:
        """Destroy the key of the person behind a receipt; cannot be undone. The cases stay, without a name."""
        asked = Erase(receipt=receipt, reason=reason, actor=actor)
        async with at_desk(session.data) as desk:
            done = await desk.office_command(asked, idempotency_key)
        session.document(done)
        count = len(done["cases"])
        session.say(
            f"{done['receipt']}  data pribadi dihapus, permohonan: {count}",
            f"{done['receipt']}  the person is erased, cases: {count}",
        )
