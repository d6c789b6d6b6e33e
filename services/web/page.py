"""How a page is made: a template, the words of its language, and times and numbers as people write them."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache, partial
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlencode

from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from events.calendar import CALENDAR_V1
from events.offices import OFFICES
from events.problem import Lang
from services.web import words
from services.web.language import lang_of, translations

STATIC: Final = files("services.web") / "static"


def page(
    request: Request, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **shown: Any
) -> HTMLResponse:
    """The page that `template` makes of what is `shown`. `link` keeps the language in which somebody chose to read."""
    lang = lang_of(request)
    chosen = {"lang": lang} if "lang" in request.query_params else {}
    here = dict(request.query_params)
    shown |= {
        "lang": lang,
        "link": lambda path, **query: path + (f"?{urlencode(asked)}" if (asked := chosen | query) else ""),
        "in_language": lambda other: f"?{urlencode(here | {'lang': other})}",
    }
    text = _environment(lang).get_template(template).render(shown)
    varying = {"content-language": lang, "vary": "Accept, Accept-Language"}
    return HTMLResponse(text, status, varying | dict(headers or {}))


@cache
def _environment(lang: Lang) -> Environment:
    made = Environment(
        loader=PackageLoader("services.web"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    install: Callable[..., None] = made.install_gettext_translations  # type: ignore[attr-defined]
    install(translations(lang), newstyle=True)
    made.filters |= {
        "when": partial(_when, lang),
        "day": lambda day: format_date(day, "EEE d MMM", locale=lang),
        "lasting": lambda seconds: format_timedelta(timedelta(seconds=seconds), locale=lang, granularity="minute"),
        "number": lambda number: format_decimal(number, locale=lang),
    }
    made.globals |= {"words": words, "offices": OFFICES, "static": _static}
    return made


def _when(lang: Lang, instant: datetime | str) -> str:
    """In the office's zone, to the minute."""
    known = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return format_datetime(known, "EEE d MMM y HH:mm", CALENDAR_V1.zone, locale=lang)


@cache
def _static(name: str) -> str:
    """The address of a file of ours; another one when its content is another, as browsers keep it."""
    return f"/static/{name}?v={sha256((STATIC / name).read_bytes()).hexdigest()[:8]}"
