"""Which language a page is in, and its words: English in the source, Indonesian from locale/id (a gettext catalogue)."""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from starlette.requests import HTTPConnection

from events.problem import Lang
from services.api.problems import language

_CATALOGUE = files("services.web") / "locale" / "id" / "LC_MESSAGES" / "ektp.po"


def lang_of(request: HTTPConnection) -> Lang:
    """What `?lang=` says, else what the browser likes best."""
    match request.query_params.get("lang"):
        case "id":
            return "id"
        case "en":
            return "en"
    return language(request)


@cache
def translations(lang: Lang) -> NullTranslations:
    """The words of a language; the catalogue is compiled when it is first needed."""
    if lang == "en":
        return NullTranslations()
    compiled = BytesIO()
    with _CATALOGUE.open("rb") as file:
        write_mo(compiled, read_po(file, locale=lang))
    compiled.seek(0)
    return GNUTranslations(compiled)
