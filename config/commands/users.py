"""`tradeactors add-user`, `invite` and `reset-password`: what the operator does for users, past the API."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands.base.deployment import DataDir

if TYPE_CHECKING:
    from api.users.operator import GivenCode
    from config.settings import Settings

_CLOSED = (
    "REGISTRATION is closed: an invitation opens no account here. Use `tradeactors add-user`, or set it to invited."
)

_LONGEST_LINE = 65_536
"""How many bytes of standard input are read at most, where a device may never end its line."""

Email = Annotated[str, typer.Argument(help="The e-mail address that the user logs in with.")]
Ask = Annotated[
    bool, typer.Option("--ask", help="Ask for the password (or read a line of standard input) instead of making one.")
]

AskReset = Annotated[
    bool, typer.Option("--ask", help="Ask for the new password and set it now; every login of the user ends.")
]


def add_user(email: Email, data_dir: DataDir = None, ask: Ask = False) -> None:
    """Open an account, also where registration is closed; a password is made and printed once."""
    from api.users import operator
    from config.commands.base.failures import plain_failures

    with plain_failures():
        database_url = _settings(data_dir).database_url
        try:
            password = _asked() if ask else operator.new_password()
            kept = asyncio.run(operator.add_user(database_url, email, password))
        except operator.UserRefused as refusal:
            raise _failed(refusal) from None
        typer.echo(f"{kept} may log in.")
        if not ask:
            typer.echo(f"Password: {password}")


def invite(email: Email, data_dir: DataDir = None) -> None:
    """Let one address register where REGISTRATION is `invited`; a code is printed once, good for seven days."""
    from api.users import operator
    from config.commands.base.failures import plain_failures

    with plain_failures():
        settings = _settings(data_dir)
        if settings.registration_mode == "closed":
            raise _failed(_CLOSED)
        try:
            given = asyncio.run(operator.invite(settings.database_url, email))
        except operator.UserRefused as refusal:
            raise _failed(refusal) from None
        _print_code(given, "may register with this invitation")


def reset_password(email: Email, data_dir: DataDir = None, ask: AskReset = False) -> None:
    """Let a user set a new password, with a code that is printed once; running strategies go on."""
    from api.users import operator
    from config.commands.base.failures import plain_failures

    with plain_failures():
        database_url = _settings(data_dir).database_url
        try:
            if not ask:
                _print_code(asyncio.run(operator.give_reset_code(database_url, email)), "may set a new password")
                return
            ended = asyncio.run(operator.reset_password(database_url, email, _asked()))
        except operator.UserRefused as refusal:
            raise _failed(refusal) from None
        typer.echo(f"The password is changed; logins that ended: {ended}.")


def _print_code(given: "GivenCode", leave: str) -> None:
    ends = f"{given.expires_at.astimezone():%Y-%m-%d %H:%M %Z}"
    typer.echo(f"{given.email} {leave}, once, until {ends}.")
    typer.echo(f"Code: {given.code}")


def _settings(data_dir: Path | None) -> "Settings":
    from config.commands.base.deployment import joined_settings, require

    settings = joined_settings(data_dir)
    require(settings, "database_url")
    return settings


def _asked() -> str:
    """The password that is typed, or the first line of standard input, as UTF-8."""
    from api.users.operator import UserRefused

    if sys.stdin is None:  # closed
        raise UserRefused("No password can be read, as standard input is closed: write it there, in one line.")
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    line = sys.stdin.buffer.readline(_LONGEST_LINE)
    try:
        return line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UserRefused("The password on standard input is not UTF-8 text: write it as UTF-8.") from None


def _failed(refusal: object) -> typer.Exit:
    typer.echo(str(refusal), err=True)
    return typer.Exit(1)
