"""Every word of a page is there in Indonesian and in English, and nothing else is in the catalogue."""

from importlib.resources import as_file, files

import pytest
from babel.messages.catalog import Catalog
from babel.messages.checkers import python_format
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from events.outage import OUTAGE_CAUSES
from events.sla import CAUSES
from events.stages import ORDER, Kind, Stage
from events.standard import STANDARD_V1
from services.web import words

WAITED_FOR = {"office", "centre", "applicant", *OUTAGE_CAUSES}


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    with (files("services.web") / "locale" / "id" / "LC_MESSAGES" / "ektp.po").open("rb") as file:
        return read_po(file, locale="id")


def test_the_catalogue_has_the_words_of_the_pages_and_no_others(catalogue: Catalog) -> None:
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    with as_file(files("services.web")) as pages:
        found = extract_from_dir(pages, methods, keywords={"_": None, "marked": None})
        used = {message for _, _, message, *_ in found}
    assert {message.id for message in catalogue if message.id} == used


def test_every_word_has_its_indonesian_with_the_same_figures_in_it(catalogue: Catalog) -> None:
    for message in catalogue:
        if message.id:
            assert message.string, f"no Indonesian for {message.id!r}"
            assert not message.fuzzy, message.id
            message.flags.add("python-format")
            python_format(catalogue, message)  # raises where the placeholders differ


def test_whatever_a_page_may_have_to_name_has_a_name() -> None:
    assert set(words.STAGE) == set(Stage)
    assert set(words.EVENT) == {*map(str, Stage), "returned", "corrected", "warned", "breached"}
    assert set(words.KIND) == set(words.BRING) == set(Kind)
    assert set(words.TARGET) == {target.name for target in STANDARD_V1.targets}
    assert set(words.CAUSE) == {*CAUSES} | WAITED_FOR
    assert set(words.OUTAGE) == set(OUTAGE_CAUSES)
    assert set(words.PREVENTED_BY) == {*map(str, ORDER[:3]), *OUTAGE_CAUSES}
