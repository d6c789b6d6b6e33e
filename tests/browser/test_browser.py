"""The pages in a real browser: live, without JavaScript, on a phone, and for those who cannot see or need contrast.

Debian's chromium (`apt-get install -y chromium`) as it is found on the path; playwright's own download is not used.
With EKTP_SCREENSHOTS=1 they also write docs/screenshots.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from services.access import COOKIE
from services.tokens import Role
from tests.command import ektp, submission
from tests.pages import Office, an_office

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(  # only where there is no chromium, and loudly; in .ci/run it is required
    CHROMIUM is None and os.environ.get("EKTP_BROWSER") != "required",
    reason="NO BROWSER TEST WAS RUN: there is no chromium on the path; apt-get install -y chromium",
)
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
SCREENSHOTS = Path(__file__).parents[2] / "docs" / "screenshots"
LIVE_MS = 20_000


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with an_office(tmp_path_factory.mktemp("browser") / "data") as office:
        yield office


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def signed_in(context: BrowserContext, office: Office, role: Role | None) -> None:
    """As somebody in that role; None: as anybody."""
    context.clear_cookies()
    if role:
        context.add_cookies([{"name": COOKIE, "value": office.tokens[role], "url": office.up.http}])


def count(page: Page, stage: str) -> int:
    """How many cases the board says stand in a stage."""
    return int(page.locator(f'[data-stage="{stage}"]').inner_text())


def test_a_case_is_seen_on_the_board_live_through_all_five_stages(browser: Browser, office: Office) -> None:
    with closing(browser.new_context(locale="en-GB")) as context:
        page = context.new_page()
        page.goto(f"{office.up.http}/board?office=367203")  # leads to the form
        page.get_by_label("Token").fill(office.tokens["operations"])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Operations board: Pulomerak")
        page.evaluate("window.isTheSamePage = true")
        before = {stage: count(page, stage) for stage in ("submitted", "recorded", "queued", "printed")}

        receipt = ektp(office.up.data, *submission()).document["receipt"]
        stage = "submitted"
        for command, then in (("record", "recorded"), ("queue", "queued"), ("print", "printed"), ("collect", None)):
            expect(page.locator(f'[data-stage="{stage}"]')).to_have_text(str(before[stage] + 1), timeout=LIVE_MS)
            ektp(office.up.data, command, receipt)
            stage = then or stage
        expect(page.locator('[data-stage="printed"]')).to_have_text(str(before["printed"]), timeout=LIVE_MS)
        collected = page.get_by_role("region", name="Done in the last days").locator("tbody tr").first.locator("td").last
        expect(collected).to_have_text("1")
        assert page.evaluate("window.isTheSamePage")


def test_a_board_that_is_paused_stands_still_until_it_is_let_go_on(browser: Browser, office: Office) -> None:
    with closing(browser.new_context(locale="en-GB")) as context:
        signed_in(context, office, "operations")
        paused, running = context.new_page(), context.new_page()
        for page in (paused, running):
            page.goto(f"{office.up.http}/board")
        pause = paused.get_by_role("button", name="Pause")
        pause.click()
        expect(pause).to_have_attribute("aria-pressed", "true")
        before = count(paused, "submitted")

        ektp(office.up.data, *submission())
        expect(running.locator('[data-stage="submitted"]')).to_have_text(str(before + 1), timeout=LIVE_MS)
        assert count(paused, "submitted") == before
        pause.click()
        expect(paused.locator('[data-stage="submitted"]')).to_have_text(str(before + 1), timeout=LIVE_MS)


def test_a_board_older_than_what_it_was_told_of_asks_until_it_is_not(browser: Browser, office: Office) -> None:
    told = "retry: 600000\nevent: changed\ndata: 999999999\n\n"
    with closing(browser.new_context()) as context:
        signed_in(context, office, "operations")
        page = context.new_page()
        page.route("**/board/events", lambda route: route.fulfill(content_type="text/event-stream", body=told))
        page.goto(f"{office.up.http}/board")
        for _ in range(3):
            with page.expect_response("**/board", timeout=LIVE_MS):
                pass


@pytest.mark.parametrize("has_javascript", [True, False])
@pytest.mark.parametrize(("locale", "heading"), [("id-ID", "Permohonan Anda: Diajukan"), ("en-GB", "Your case: Submitted")])
def test_a_citizen_types_the_receipt_and_sees_the_case(
    browser: Browser, office: Office, locale: str, heading: str, has_javascript: bool
) -> None:
    with closing(browser.new_context(locale=locale, java_script_enabled=has_javascript)) as context:
        page = context.new_page()
        page.goto(f"{office.up.http}/status")
        page.get_by_role("textbox").fill(office.receipt.lower())
        page.get_by_role("main").get_by_role("button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        expect(page.locator("ol.steps > li")).to_have_count(5)
        expect(page.locator("ol.steps > li[aria-current=step]")).to_have_count(1)
        page.get_by_role("navigation").get_by_role("link", name="English").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your case: Submitted")


def test_every_page_can_be_read_on_a_screen_of_320_pixels(browser: Browser, office: Office) -> None:
    with closing(browser.new_context(viewport={"width": 320, "height": 640})) as context:
        page = context.new_page()
        for path, role in office.pages.items():
            signed_in(context, office, role)
            for lang in ("id", "en"):
                page.goto(in_language(office, path, lang))
                assert page.evaluate("document.documentElement.scrollWidth") <= 320, (path, lang)
                if lang == "id" and path == f"/status/{office.receipt}":
                    picture(page, office, path, "-phone")


def test_no_page_asks_for_anything_elsewhere_or_is_stopped_by_its_own_policy(browser: Browser, office: Office) -> None:
    with closing(browser.new_context()) as context:
        page, asked, stopped = context.new_page(), set[str](), list[str]()
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.on("console", lambda told: stopped.append(told.text) if "Content Security Policy" in told.text else None)
        for path, role in office.pages.items():
            signed_in(context, office, role)
            page.goto(office.up.http + path)
        assert asked == {urlsplit(office.up.http).netloc}
        assert stopped == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("lang", ["id", "en"])
def test_axe_finds_nothing_on_any_page(
    browser: Browser, office: Office, lang: str, scheme: Literal["light", "dark"]
) -> None:
    with closing(browser.new_context(color_scheme=scheme, bypass_csp=True)) as context:  # axe is put into the page
        page = context.new_page()
        for path, role in office.pages.items():
            signed_in(context, office, role)
            page.goto(in_language(office, path, lang))
            found = Axe().run(page)
            assert found.violations_count == 0, f"{path}\n{found.generate_report()}"
            if lang == "id" and (scheme == "light" or path == "/board"):
                picture(page, office, path, "" if scheme == "light" else "-dark")


def picture(page: Page, office: Office, path: str, kind: str) -> None:
    """Keep what is seen as docs/screenshots/PAGE.png, only where that was asked for."""
    if os.environ.get("EKTP_SCREENSHOTS"):
        name = re.sub(r"\W+", "-", path.replace(office.receipt, "receipt")).strip("-")
        page.screenshot(path=SCREENSHOTS / f"{name}{kind}.png", full_page=True)


def in_language(office: Office, path: str, lang: str) -> str:
    return f"{office.up.http}{path}{'&' if '?' in path else '?'}lang={lang}"
