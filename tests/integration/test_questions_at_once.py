"""Many who ask at once are all answered."""

import asyncio
from pathlib import Path

from infra.data_folder import open_folder
from services.desk import Desk
from services.questions import AskStatus
from tests.command import ektp, running, submission


async def test_fifty_questions_at_once_are_all_answered(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data):
        receipt = (await asyncio.to_thread(ektp, data, *submission())).document["receipt"]
        desk = Desk(open_folder(data))
        answers = await asyncio.gather(*(desk.ask("status", AskStatus(receipt=receipt)) for _ in range(50)))
        await desk.close()
    assert {answer["stage"] for answer in answers} == {"submitted"}
