"""The pages of a running backbone: what they show to whom, in both languages, and what they never show."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files

import httpx
import pytest

from tests.command import PERSONAL, ektp, eventually, head
from tests.over_http import problem
from tests.pages import REASON, Office, an_office

URL = re.compile(r"""(?:https?:)?//[^\s"'<>)]+""")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with an_office(tmp_path_factory.mktemp("pages") / "data") as office:
        yield office


class Structure(HTMLParser):
    """What somebody who cannot see a page goes by, and what the Content-Security-Policy would stop."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lang, self.headings, self.inline = "", list[int](), list[str]()
        self.tags, self.labels, self.fields = list[str](), set[str](), set[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append(tag)
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in known) else []
        self.inline += [name for name in known if name == "style" or name.startswith("on")]
        if tag == "html":
            self.lang = known["lang"] or ""
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "label":
            self.labels.add(known["for"] or "")
        if tag in {"input", "select"} and known.get("type") != "hidden":
            self.fields.add(known["id"] or "")


@pytest.mark.parametrize("lang", ["id", "en"])
def test_every_page_has_its_language_landmarks_headings_in_order_captions_and_labels(office: Office, lang: str) -> None:
    for path, role in office.pages.items():
        for asked, accepted in ((path, lang), (f"{path}{'&' if '?' in path else '?'}lang={lang}", "fr")):
            answer = office.asker(role, accepted).get(asked)
            assert answer.headers["content-type"] == "text/html; charset=utf-8", asked
            page = Structure(answer.text)
            assert answer.headers["content-language"] == page.lang == (lang if accepted == lang else asked[-2:])
            assert all(page.tags.count(landmark) == 1 for landmark in ("header", "main", "footer", "h1")), asked
            assert all(below <= above + 1 for above, below in zip([0, *page.headings], page.headings, strict=False)), asked
            assert page.tags.count("table") == page.tags.count("caption"), asked
            assert page.fields == page.labels, asked
            assert page.inline == [], f"the policy stops it on {asked}"
            assert answer.headers["content-security-policy"].startswith("default-src 'self';")


def test_the_two_languages_say_the_same_in_other_words(office: Office) -> None:
    for path, role in office.pages.items():
        titles = [re.findall("<h1>(.*?)</h1>", office.asker(role, lang).get(path).text) for lang in ("id", "en")]
        assert titles[0] != titles[1], path


def test_no_page_shows_a_name_a_nik_or_a_reason(office: Office) -> None:
    assert len(PERSONAL) > 3
    for path, role in office.pages.items():
        shown = office.asker(role).get(path).text
        assert [word for word in {*PERSONAL, REASON} if word in shown] == [], path


def test_no_page_and_no_file_of_ours_names_another_host(office: Office) -> None:
    texts = {path: office.asker(role).get(path).text for path, role in office.pages.items()}
    web = files("services.web")
    for file in [*(web / "static").iterdir(), *(web / "templates").iterdir()]:
        texts[file.name] = re.sub(r"(?m)(^|\s)// .*$", "", file.read_text(encoding="utf-8"))
    for name, text in texts.items():
        assert [url for url in URL.findall(text) if not url.startswith(office.up.http)] == [], name


def test_a_citizen_sees_by_the_receipt_alone_where_the_case_stands_and_what_comes_next(office: Office) -> None:
    page = office.asker(None).get(f"/status/{office.receipt.lower().replace('-', ' ')}").text
    steps = re.findall(r'<li class="(\w+)"[^>]*>\s*<span class="name">(.*?)</span>', page)
    assert steps == [
        ("now", "Submitted"),
        ("todo", "Recorded"),
        ("todo", "Ready to print"),
        ("todo", "Printed"),
        ("todo", "Collected"),
    ]
    for shown in (office.receipt, "Pulomerak", "Rp 0", "Promised", "No forecast", "family card", "Waits for photo"):
        assert shown in page
    assert "petugas.1" not in page


def test_a_program_gets_the_document_of_ektp_status(office: Office) -> None:
    answer = httpx.get(f"{office.up.http}/status/{office.receipt}", headers={"Accept": "application/json"})
    assert answer.json() == ektp(office.up.data, "status", office.receipt, lang="id").document


def test_whatever_is_no_receipt_of_a_case_gets_the_same_answer(office: Office) -> None:
    mistyped = office.receipt[:-1] + ("A" if office.receipt[-1] != "A" else "B")
    wrong = [mistyped, "PM-0000-0000-00000", "x", "..%2F..%2Fetc%2Fpasswd", "%3Cscript%3E", "a/b", "%00", "9" * 5000]
    for accept in ("text/html", "application/json"):
        headers = {"Accept": accept, "Accept-Language": "en", "X-Forwarded-For": "203.0.113.7"}
        answers = [httpx.get(f"{office.up.http}/status/{each}", headers=headers) for each in wrong]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.text for answer in answers}) == 1


def test_the_form_leads_to_the_case_in_the_language_it_was_read_in(office: Office) -> None:
    answer = office.asker(None).get("/status", params={"receipt": f" {office.receipt} ", "lang": "id"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/status/{office.receipt}?lang=id")


def test_who_asks_for_too_many_receipts_waits(office: Office) -> None:
    headers = {"Accept": "text/html", "X-Forwarded-For": "203.0.113.8"}
    with httpx.Client(base_url=office.up.http, headers=headers) as browser:
        answers = [browser.get("/status/x") for _ in range(61)]
    assert [answer.status_code for answer in answers] == [404] * 60 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert office.asker(None).get(f"/status/{office.receipt}").status_code == 200  # another address


def test_the_board_says_first_what_is_about_to_be_broken_why_and_what_would_prevent_it(office: Office) -> None:
    board = office.asker("operations").get("/board?office=367203").text
    assert board.index("About to be broken") < board.index('<form action="/board"')
    threats = board[board.index('id="threats"') : board.index("</section>")]
    assert "Pulomerak: issuance, from" in threats
    assert "waits for the district office" in threats
    assert "Record these applicants before then." in threats
    assert office.at_risk in board[board.index("At risk:") : board.index("Broken and still open:")]
    assert office.late in board[board.index("Broken and still open:") : board.index("Done in the last days")]
    assert "Nothing is about to be broken." in office.asker("operations").get("/board?office=367201").text

    ektp(office.up.data, "outage", "begin", "--office", "367203", "--cause", "blank_stock")
    lacking = eventually(lambda: re.search(r"Why: blank cards have run out.*?prevent it: (.*?)<", _threats(office)))
    assert lacking[1] == "Bring blank cards to the office, or print at another one."
    waiting = office.asker(None).get(f"/status/{office.receipt}").text
    assert "The office is off line since" in waiting
    assert "blank cards have run out" in waiting
    ektp(office.up.data, "outage", "end", "--office", "367203", "--cause", "blank_stock")
    assert eventually(lambda: "blank cards" not in _threats(office))


def _threats(office: Office) -> str:
    board = office.asker("operations").get("/board?office=367203").text
    return re.sub(r"\s+", " ", board[board.index('id="threats"') : board.index("</section>")])


def test_the_board_counts_what_stands_where_now_and_as_it_was(office: Office) -> None:
    def submitted(address: str) -> str:
        return re.findall(r'data-stage="submitted">(.*?)<', office.asker("admin").get(address).text)[0]

    assert submitted("/board") == submitted("/board?office=367203") == "3"
    assert submitted("/board?office=367201") == submitted("/board?as_of=2020-01-01T00:00") == "0"
    for wrong in ("office=1", "as_of=yesterday", "as_of=0001-01-01T00:00"):
        assert office.asker("admin").get(f"/board?{wrong}").status_code == 422


def test_an_auditor_gets_from_the_board_to_a_case_and_others_are_not_shown_the_way(office: Office) -> None:
    link = f'href="/case/{office.late}"'
    assert link in office.asker("auditor").get("/board").text
    assert link not in office.asker("operations").get("/board").text


def test_who_watches_the_board_is_told_of_a_change_and_goes_on_from_the_last_one(office: Office) -> None:
    asker = office.asker("operations")
    headers = {"Authorization": f"Bearer {asker.token}", "Last-Event-ID": str(head(office.up.data))}
    with httpx.stream("GET", f"{office.up.http}/board/events", headers=headers, timeout=20) as answer:
        office_changes = ektp(office.up.data, "outage", "begin", "--office", "367201", "--cause", "power").document
        lines = (line for line in answer.iter_lines() if line.startswith("id: "))
        assert next(lines) == f"id: {office_changes['seq']}"
    with httpx.stream("GET", f"{office.up.http}/board/events", headers=headers, timeout=20) as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("id: "))
        assert next(lines) == f"id: {office_changes['seq']}"  # missed meanwhile


def test_who_is_not_signed_in_is_asked_for_a_token_and_led_back(office: Office) -> None:
    with httpx.Client(base_url=office.up.http, headers={"Accept": "text/html", "Accept-Language": "en"}) as browser:
        asked = browser.get("/board?office=367203")
        assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2Fboard%3Foffice%3D367203")
        ours = {"Origin": office.up.http}
        refused = browser.post("/login", data={"token": "guessed"}, headers=ours)
        assert refused.status_code == 401
        assert "This token is not known" in refused.text
        form = re.findall(r'name="next" value="(.*?)"', browser.get(asked.headers["location"]).text)[0]
        entered = browser.post("/login", data={"token": office.tokens["operations"], "next": form}, headers=ours)
        assert browser.get(entered.headers["location"]).status_code == 200
        assert browser.get(f"/case/{office.receipt}").status_code == 403


def test_an_auditor_sees_who_did_what_when_and_that_it_is_proven(office: Office) -> None:
    auditor = office.asker("auditor")
    page = eventually(lambda: text if "Not signed yet" not in (text := auditor.get(f"/case/{office.receipt}").text) else "")
    rows = re.findall(r'<th scope="row">(.*?)</th>', page)
    assert rows == ["Submitted", "Recorded", "Returned"]
    assert page.count("Signed, under the checkpoint of") == 3
    for shown in ("petugas.1", "back to: Submitted", "A reason was given; it is sealed."):
        assert shown in page

    proof = office.up.data.parent / "proof"
    proof.write_text(auditor.get(f"/case/{office.receipt}/proof").text)
    checked = ektp(office.up.data, "audit", "check", str(proof)).document
    assert [event["event"] for event in checked["events"]] == ["submitted", "recorded", "returned"]
    assert auditor.get("/log/checkpoint").text == (office.up.data / "log" / "checkpoint").read_text()
    assert auditor.get("/case/PM-0000-0000-00000").status_code == 404


def test_a_receipt_is_printed_with_the_way_to_its_page_and_the_case_number(office: Office) -> None:
    page = office.asker("desk").get(f"/receipt/{office.receipt}").text
    case = ektp(office.up.data, "status", office.receipt).document["case"]
    for shown in (f"{office.up.http}/status/{office.receipt}", case, '<svg width="'):
        assert shown in page


def test_a_page_says_that_the_office_is_off_line_instead_of_a_stale_answer(office: Office) -> None:
    address = f"{office.up.http}/status/{office.receipt}"
    server = office.up.part("nats-server")
    server.suspend()
    try:
        answer = eventually(lambda: _offline(address), timeout_s=60)
    finally:
        server.resume()
    assert "The office has been off line since" in answer.text
    assert "Your case" not in answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert eventually(lambda: httpx.get(address, headers={"Accept": "text/html"}).status_code == 200, timeout_s=60)
    assert problem(httpx.get(f"{office.up.http}/board")) == (401, "not_signed_in")


def _offline(address: str) -> httpx.Response | None:
    headers = {"Accept": "text/html", "Accept-Language": "en", "X-Forwarded-For": "203.0.113.9"}
    answer = httpx.get(address, headers=headers, timeout=30)
    return answer if answer.status_code == 503 and "off line" in answer.text else None
