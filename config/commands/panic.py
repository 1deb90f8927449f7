"""`tradeactors panic`: the operator forbids entries and has everything sold that a user's strategies hold (row N8)."""

import asyncio
from typing import Annotated

import typer

from config.commands.base.deployment import DataDir

User = Annotated[str | None, typer.Option("--user", help="The e-mail address of the user whose strategies are ended.")]
All = Annotated[bool, typer.Option("--all", help="The strategies of every user.")]


def panic(user: User = None, everyone: All = False, data_dir: DataDir = None) -> None:
    """Forbid entries, and sell what the strategies of one user or of all hold; each user allows entries again."""
    from api.strategies.panic import operator
    from config.commands.base.deployment import joined_settings, require
    from config.commands.base.failures import plain_failures

    if (user is None) is not everyone:
        typer.echo("Say either --user with an address, or --all.", err=True)
        raise typer.Exit(2)
    with plain_failures():
        settings = joined_settings(data_dir)
        require(settings, "database_url", "redis_url")
        try:
            done = asyncio.run(operator.panic(settings.database_url, settings.redis_url, user))
        except operator.UnknownUser as refusal:
            typer.echo(str(refusal), err=True)
            raise typer.Exit(1) from None
        typer.echo(f"Entries are forbidden; users: {done.users}, strategies that run: {done.open_runs}.")
        typer.echo("The processes of the API end those within seconds. If none is up, start one: nothing else sells.")
        if not done.in_redis:
            typer.echo("Redis does not answer: it gets the marks when it is back.")
