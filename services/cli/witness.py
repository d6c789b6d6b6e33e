"""Cosigning between backbones: `ektp witness`, `ektp witness add`, `ektp witness of`.

They read and write files that a running backbone reads again each time, so they start none.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

import typer
from typer.core import TyperGroup

from events.problem import Lang, Problem
from infra.data_folder import open_folder
from infra.tlog.identity import origin
from infra.tlog.note import LOG, WITNESS, BadNote, Verifier, read_vkey
from services.cli.session import Session, ektp_command, minute
from services.witness_notes import (
    Witness,
    ask_from_now_on,
    cosigned,
    our_last,
    told,
    trust,
    trusted,
    witness_signer,
    witnesses,
)


@dataclass(eq=False)
class InvalidKey(Problem):
    """The file holds no public key of the kind that is needed; nothing was changed."""

    file: str
    needed: str
    code: ClassVar[str] = "invalid_key"
    sentence_id: ClassVar[str] = (
        "{file} bukan kunci publik yang diperlukan. Tidak ada yang diubah. Mintalah berkas {needed} dari pihak sana."
    )
    sentence_en: ClassVar[str] = (
        "{file} is not the public key that is needed. Nothing was changed. Ask the other side for its file {needed}."
    )


@dataclass(eq=False)
class InvalidWitnessUrl(Problem):
    """Not the address of a witness; nothing was changed."""

    code: ClassVar[str] = "invalid_witness_url"
    sentence_id: ClassVar[str] = "Ini bukan alamat saksi. Tidak ada yang diubah. Tulis seperti http://kantor:8080/witness."
    sentence_en: ClassVar[str] = (
        "This is not a witness's address. Nothing was changed. Write it as http://office:8080/witness."
    )


class _ListsByItself(TyperGroup):
    """Without a subcommand it is `list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["list", *args])


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    group = typer.Typer(cls=_ListsByItself, help="Cosigning between backbones: whose log we cosign, and who cosigns ours.")
    app.add_typer(group, name="witness")

    @ektp_command(group, "add")
    async def add(
        session: Session,
        file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The other log's public key: its log/key.")],
    ) -> None:
        """Cosign for another backbone's log from now on."""
        key, folder = _key(file, LOG, "log/key"), open_folder(session.data)
        trust(folder, key)
        ours = witness_signer(folder).verifier
        session.document({"origin": key.name, "witness_key": ours.vkey})
        where = folder.log / "witness-key"
        session.say(
            f"log {key.name} disaksikan; kunci publik kami sebagai saksi: {where}",
            f"log {key.name} is cosigned from now on; our public key as a witness: {where}",
        )

    @ektp_command(group, "of")
    async def of(
        session: Session,
        url: Annotated[str, typer.Argument(help="Where the witness is: http://office:8080/witness")],
        key: Annotated[Path, typer.Option("--key", exists=True, dir_okay=False, help="Its public key: log/witness-key.")],
    ) -> None:
        """Have our log cosigned by this witness from now on."""
        witness = Witness(_url(url), _key(key, WITNESS, "log/witness-key"))
        ask_from_now_on(open_folder(session.data), witness)
        session.document({"name": witness.key.name, "url": witness.url})
        session.say(
            f"saksi {witness.key.name} diminta di {witness.url}",
            f"witness {witness.key.name} is asked at {witness.url}",
        )

    @ektp_command(group, "list")
    async def list_(session: Session) -> None:
        """Whose log we cosign, who cosigns ours, and how old each last cosignature is."""
        folder = open_folder(session.data)
        witnessed, witnessing = [], []
        for name in sorted({key.name for key in trusted(folder)}):
            checkpoint, note = our_last(folder, name)
            ours = note and witness_signer(folder).verifier
            signed_at = note.signed_by([ours])[ours.name] if note and ours else None
            witnessed.append({"name": name} | _age(checkpoint.size, signed_at))
        for witness in witnesses(folder):
            last = cosigned(folder.log, origin(folder.backbone), witness.key)
            size, signed_at = (last[0].size, last[2]) if last else (0, None)
            witnessing.append({"name": witness.key.name, "url": witness.url} | _age(size, signed_at))
        session.document({"witnessed": witnessed, "witnesses": witnessing})
        if not witnessed and not witnessing:
            session.say("belum ada; lihat: ektp witness --help", "none yet; see: ektp witness --help")
        for row in witnessed:
            who = row["name"]
            session.say(f"kami menyaksikan {who}: {_text(row, 'id')}", f"we cosign {who}: {_text(row, 'en')}")
        for row in witnessing:
            who = f"{row['name']} ({row['url']})"
            session.say(f"disaksikan {who}: {_text(row, 'id')}", f"cosigned by {who}: {_text(row, 'en')}")


def _age(size: int, signed_at: int | None) -> dict[str, Any]:
    """Events under the last cosignature and its time and age; null where there is none."""
    if signed_at is None:
        return {"size": None, "time": None, "age_seconds": None}
    return {"size": size, "time": told(signed_at), "age_seconds": max(0, int(time.time()) - signed_at)}


def _text(row: dict[str, Any], lang: Lang) -> str:
    if row["time"] is None:
        return "belum pernah" if lang == "id" else "never yet"
    at = f"{minute(row['time'])}, {row['age_seconds']} s"
    return f"{row['size']} peristiwa, {at}" if lang == "id" else f"{row['size']} events, {at}"


def _key(file: Path, kind: int, needed: str) -> Verifier:
    """The public key of this kind in a file. Raises InvalidKey."""
    try:
        key = read_vkey(file.read_text())
    except (BadNote, ValueError):
        raise InvalidKey(file.name, needed) from None
    if key.type != kind:
        raise InvalidKey(file.name, needed)
    return key


def _url(url: str) -> str:
    """Without a slash at its end. Raises InvalidWitnessUrl."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or parts.query or parts.fragment:
            raise ValueError
    except ValueError:
        raise InvalidWitnessUrl from None
    return url.rstrip("/")
