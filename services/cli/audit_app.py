"""`ektp audit …`: the group that the audit commands belong to."""

import typer

audit_app = typer.Typer(no_args_is_help=True, help="The audit trail: verify, prove, export, restore.")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(audit_app, name="audit")
