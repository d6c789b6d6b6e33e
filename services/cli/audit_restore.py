"""`ektp audit restore`: a damaged journal is rebuilt from what is left of it, and a halted backbone may record again."""

from dataclasses import asdict

from infra.data_folder import open_folder
from infra.folder_lock import take_owner
from infra.guard.restore import restore
from services.cli.session import Session


async def restore_journal(session: Session) -> None:
    """Rebuild a damaged journal from archive, store and set-aside blocks; what is lost is named. Stop the backbone first."""
    folder = open_folder(session.data)
    with await take_owner(folder):
        done = await restore(folder)
    session.document(asdict(done))
    if done.set_aside is None:
        session.say("Jurnal utuh; tidak ada yang dipulihkan.", "The journal is whole; nothing was restored.")
        return
    session.say(
        f"{done.restored} peristiwa dipulihkan dalam {done.seconds:.1f} s; berkas yang rusak disimpan: {done.set_aside}-*",
        f"{done.restored} events restored in {done.seconds:.1f} s; the damaged files are kept: {done.set_aside}-*",
    )
    if done.first_lost is not None:
        last = done.first_lost + done.lost - 1
        session.say(
            f"{done.lost} peristiwa hilang: nomor {done.first_lost} sampai {last}. Catat lagi dari berkas kertasnya.",
            f"{done.lost} events are lost: numbers {done.first_lost} to {last}. Enter them again from paper.",
        )
