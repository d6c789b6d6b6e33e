"""The `ektp` command."""

import sys
from importlib import import_module
from typing import Any

import orjson
import typer
from typer.core import TyperGroup

from services.cli.session import InvalidRequestLine

MODULES = {  # in the order of --help
    "cases": ("submit", "record", "queue", "print", "collect", "return", "cancel", "correct", "find", "status"),
    "register": ("import", "sample"),
    "office": ("up", "replay", "doctor"),
    "coverage": ("coverage", "desk", "uncollected"),
    "sla": ("sla",),
    "views": ("rebuild", "retry"),
    "rules": ("outage", "standard", "calendar"),
    "erase": ("erase",),
    "witness": ("witness",),
    "audit": ("audit",),
    "subscriber": ("subscriber",),
    "token": ("token",),
}


class _Commands(TyperGroup):
    """Imports a command's module when it is asked for: on an old PC, importing all of them would be most of a call."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._module_of = {command: module for module, commands in MODULES.items() for command in commands}
        self.commands = dict.fromkeys(self._module_of)  # type: ignore[assignment]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = self._module_of.get(cmd_name)
        return module and commands_of(module)[cmd_name]


def commands_of(module: str) -> dict[str, Any]:
    """The commands that a module of this folder has, by name."""
    app = typer.Typer()
    app.callback()(lambda: None)  # one command alone would else be no group
    import_module(f"services.cli.{module}").add_to(app)
    return dict(typer.main.get_group(app).commands)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="KTP-el backbone: cases and their history.",
    callback=lambda: None,
)


def run() -> None:
    """Entry point; also with exit code 2 there is a document on stdout when --json was asked for."""
    try:
        app()
    except SystemExit as ended:
        if ended.code == 2 and "--json" in sys.argv:
            sys.stdout.write(orjson.dumps({"error": InvalidRequestLine().document()}).decode() + "\n")
        raise


if __name__ == "__main__":
    run()
