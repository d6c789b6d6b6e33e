"""Who may hear the feed: `ektp subscriber add|list|remove`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import orjson
import typer

from events.feed import EVENTS
from events.problem import Problem
from infra.data_folder import DataFolder
from infra.folder_lock import endpoint
from infra.journal import Journal
from infra.nats_connection import connect
from projections.feed import feed_stream
from services.cli.at_desk import at_desk
from services.cli.session import Session, ektp_command
from services.desk import BackboneGone
from services.subscribers import add, known, remove

Name = Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")]


@dataclass(eq=False)
class OutUnwritable(Problem):
    """The file for the credentials is there already or cannot be made; nobody was added."""

    path: str
    why: str
    code: ClassVar[str] = "out_unwritable"
    sentence_id: ClassVar[str] = "Berkas {path} tidak dapat dibuat ({why}); belum ada yang ditambahkan. Pilih nama lain."
    sentence_en: ClassVar[str] = "The file {path} cannot be made ({why}); nobody was added. Choose another name."


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    group = typer.Typer(no_args_is_help=True, help="Who may hear the feed of public events.")
    app.add_typer(group, name="subscriber")

    @ektp_command(group, "add")
    async def add_(
        session: Session,
        name: Name,
        events: Annotated[str, typer.Option("--events", help=f"With commas: {', '.join(EVENTS)}.")],
        office: Annotated[str, typer.Option("--office", help="Six digits of a district office, or all.")],
        out: Annotated[Path | None, typer.Option("--out", help="Put the credentials into this new file, 0600.")] = None,
    ) -> None:
        """Give a subscriber credentials of its own; they are shown this once."""
        async with _at_feed(session.data) as (feed, folder, url):
            file = _new(out) if out else None
            try:
                wanted = [event.strip() for event in events.split(",")]
                credentials = await add(feed, folder, url, name, wanted, office)
                document = orjson.dumps(credentials, option=orjson.OPT_INDENT_2).decode()
                if file is not None:
                    os.write(file, document.encode())
            except Problem:
                if out:
                    out.unlink()
                raise
            finally:
                if file is not None:
                    os.close(file)
        session.document({"name": name, "out": str(out)} if out else credentials)
        session.say(*[f"{name}: {out}" if out else document] * 2)

    @ektp_command(group, "list")
    async def list_(session: Session) -> None:
        """Every subscriber, what it hears, and how far it is behind."""
        async with _at_feed(session.data) as (feed, folder, _):
            found = await known(feed, folder)
        session.document({"subscribers": found})
        for one in found:
            heard = " ".join(one["subjects"])
            session.say(
                f"{one['name']}  belum diambil: {one['behind']}  {heard}", f"{one['name']}  behind: {one['behind']}  {heard}"
            )

    @ektp_command(group, "remove")
    async def remove_(session: Session, name: Name) -> None:
        """Cut a subscriber off; its credentials are refused from now on."""
        async with _at_feed(session.data) as (feed, folder, url):
            await remove(feed, folder, url, name)
        session.document({"name": name})
        session.say(f"{name}: dihapus", f"{name}: removed")


@asynccontextmanager
async def _at_feed(data: Path) -> AsyncIterator[tuple[Journal, DataFolder, str]]:
    """The feed's stream, with the rights of who keeps it; raises as at_desk, and BackboneGone."""
    async with at_desk(data) as desk:
        there = endpoint(desk.folder)
        if there is None:
            raise BackboneGone(0)
        connection = await connect(desk.folder, "reader", there.url)
        try:
            yield feed_stream(connection), desk.folder, there.url
        finally:
            await connection.close()


def _new(path: Path) -> int:
    """A file of that name, which was not there before, for its owner's eyes alone. Raises OutUnwritable."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise OutUnwritable(str(path), error.strerror or type(error).__name__) from None
