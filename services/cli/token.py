"""Who may use HTTP: `ektp token add|list|remove`. They read and write a file, so they start no backbone."""

from typing import Annotated

import typer

from infra.data_folder import open_folder
from services.cli.session import Session, ektp_command, minute
from services.tokens import ROLES, add_token, remove_token, tokens


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    group = typer.Typer(no_args_is_help=True, help="Who may use HTTP, and in which role.")
    app.add_typer(group, name="token")

    @ektp_command(group, "add")
    async def add(
        session: Session,
        role: Annotated[str, typer.Option("--role", help=f"{', '.join(ROLES)}.")],
        name: Annotated[str, typer.Option("--name", help="Whose it is; stands in the log and as the actor.")],
    ) -> None:
        """Make a token; it is shown this once."""
        token = add_token(open_folder(session.data), name, role)
        session.document({"name": name, "role": role, "token": token})
        session.say(token, token)

    @ektp_command(group, "list")
    async def list_(session: Session) -> None:
        """Every token's name, role and age; the tokens themselves are not kept."""
        found = tokens(open_folder(session.data))
        session.document({"tokens": [{"name": each.name, "role": each.role, "made": each.made} for each in found]})
        for each in found:
            session.say(*[f"{each.name}  {each.role}  {minute(each.made)}"] * 2)

    @ektp_command(group, "remove")
    async def remove(session: Session, name: Annotated[str, typer.Argument()]) -> None:
        """Have a token refused from now on."""
        remove_token(open_folder(session.data), name)
        session.document({"name": name})
        session.say(f"{name}: dihapus", f"{name}: removed")
