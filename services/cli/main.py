"""The `ektp` command."""

import sys

import orjson
import typer

from services.cli import audit, cases, coverage, erase, office, register, rules, sla, subscriber, token, views, witness
from services.cli.session import InvalidRequestLine

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="KTP-el backbone: cases and their history.")
cases.add_to(app)
register.add_to(app)
office.add_to(app)
coverage.add_to(app)
sla.add_to(app)
views.add_to(app)
rules.add_to(app)
erase.add_to(app)
witness.add_to(app)
audit.add_to(app)
subscriber.add_to(app)
token.add_to(app)


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
