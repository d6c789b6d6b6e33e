"""What all commands of `ektp` share: --data, --json, --lang; one document on stdout, one sentence for an error, exit codes.

Exit codes (contract section 1): 0 done; 1 refused, failed or something found; 2 unknown or missing options; 3 import with
rejected rows.
"""

import asyncio
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import orjson
import typer
from pydantic import ValidationError
from typer.core import TyperCommand

from events.problem import Lang, Problem
from infra.logs import configure_logs
from infra.nats_connection import to_the_end
from services.wire import Unexpected, problem_of

if TYPE_CHECKING:
    from rich.console import Console

Data = Annotated[Path, typer.Option("--data", envvar="EKTP_DATA", help="The data folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, whatever happens.")]
Language = Annotated[str, typer.Option("--lang", envvar="EKTP_LANG", help="id or en.")]
_COMMON = {"data": (Data, Path("data")), "json": (Json, False), "lang": (Language, "id")}


@dataclass(eq=False)
class InvalidLang(Problem):
    """Only two languages are spoken here."""

    lang: str
    code: ClassVar[str] = "invalid_lang"
    sentence_id: ClassVar[str] = "Bahasa {lang} tidak ada. Pilih id atau en."
    sentence_en: ClassVar[str] = "There is no language {lang}. Choose id or en."


@dataclass(eq=False)
class InvalidRequestLine(Problem):
    """Unknown or missing options; the usage is on stderr."""

    code: ClassVar[str] = "usage"
    status: ClassVar[int] = 400
    sentence_id: ClassVar[str] = "Opsi tidak dikenal atau kurang. Lihat: ektp PERINTAH --help."
    sentence_en: ClassVar[str] = "Unknown or missing options. See: ektp COMMAND --help."


@dataclass(frozen=True)
class Session:
    """One call of `ektp`: where, and how to answer."""

    data: Path
    json: bool
    lang: Lang

    @property
    def progress(self) -> "Console":
        """stderr for progress bars; quiet when it is not a terminal."""
        from rich.console import Console  # noqa: PLC0415 (few commands take so long)

        return Console(stderr=True, quiet=not sys.stderr.isatty())

    def document(self, document: dict[str, Any]) -> None:
        """The answer for a program, if one asks."""
        if self.json:
            sys.stdout.write(orjson.dumps(document).decode() + "\n")

    def say(self, text_id: str, text_en: str) -> None:
        """The answer for a person."""
        if not self.json:
            print(text_id if self.lang == "id" else text_en, flush=True)


def minute(instant: str) -> str:
    """An instant of a document as a person reads it, to the minute."""
    return instant[:16].replace("T", " ")


class _Command(TyperCommand):
    """Does not repeat what was typed: a name without quotes becomes an argument too many."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if str(getattr(error, "message", "")).startswith("Got unexpected extra argument"):
                error.message = "Unexpected arguments; a value with blanks needs quotes."  # type: ignore[attr-defined]
            raise


def ektp_command(app: typer.Typer, name: str) -> Callable[[Callable[..., Coroutine[Any, Any, int | None]]], None]:
    """Register an async function as a command: its first argument is the Session, its result the exit code (None: 0)."""

    def register(function: Callable[..., Coroutine[Any, Any, int | None]]) -> None:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        common = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in _COMMON.items()
        ]

        def call(data: Path, json: bool, lang: str, **arguments: Any) -> None:
            raise typer.Exit(_run(function, data, json, lang, arguments))

        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + common
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        call.__doc__ = function.__doc__
        app.command(name, cls=_Command)(call)

    return register


def _run(function: Any, data: Path, json: bool, lang: str, arguments: dict[str, Any]) -> int:
    configure_logs()  # to stderr: this process may run a backbone
    session = Session(data, json, cast(Lang, lang if lang in {"id", "en"} else "id"))
    try:
        if session.lang != lang:
            raise InvalidLang(lang)
        return asyncio.run(to_the_end(function(session, **arguments))) or 0
    except typer.BadParameter:
        raise  # shown with the usage: exit code 2
    except (Problem, ValidationError) as error:
        tell(session.json, session.lang, problem_of(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who reads has seen enough, as in `| head`; without this Python complains when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get("EKTP_DEBUG"):
            traceback.print_exc()
        tell(session.json, session.lang, Unexpected(f"{type(error).__name__}"))
    return 1


def tell(json: bool, lang: Lang, problem: Problem) -> None:
    """An error, to a program as a document on stdout, to a person as a sentence on stderr."""
    if json:
        sys.stdout.write(orjson.dumps({"error": problem.document()}, default=str).decode() + "\n")
    else:
        print(problem.message(lang), file=sys.stderr)
