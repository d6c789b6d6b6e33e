"""`ektp doctor --scrub`: what is wrong with the log is named and made good; a whole backbone is whole."""

from pathlib import Path

from services.register.sample import cilegon
from tests.command import ektp, eventually, running, submission


def scrubbed(data: Path) -> tuple[int, str]:
    answer = ektp(data, "doctor", "--scrub")
    (check,) = [check for check in answer.document["checks"] if check["name"] == "scrub"]
    return answer.code, check["says"]


def test_a_damaged_tile_that_nobody_needs_is_found_and_made_good(tmp_path: Path) -> None:
    data, book = tmp_path / "data", tmp_path / "book.csv"
    book.write_text("".join(cilegon(0.0005, 1)))
    with running(data):
        assert ektp(data, "import", book).document["events_added"] > 500
        code, says = scrubbed(data)
        assert code == 0
        assert "signed events are whole" in says
        tile = data / "log" / "tile" / "0" / "000"
        whole = eventually(tile.read_bytes)
        tile.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert scrubbed(data) == (1, "files: log/tile/0/000")
        eventually(lambda: tile.read_bytes() == whole)
        assert scrubbed(data)[0] == 0
        ektp(data, *submission())
    assert ektp(data, "audit", "verify").document["ok"]
