"""The `tradeactors` command. Large libraries are imported inside the commands, so that --help is quick."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands.app_address import app_for_phones, app_on, qr_code
from config.commands.backup import backup, restore
from config.commands.demo import demo
from config.commands.nodes.drain import drain
from config.commands.overview.logs import logs
from config.commands.overview.status import status
from config.commands.overview.top import top
from config.commands.overview.why import why
from config.commands.panic import panic
from config.commands.prune import prune
from config.commands.replay import replay
from config.commands.users import add_user, invite, reset_password

if TYPE_CHECKING:
    from rich.console import Console

    from config.settings import Settings
    from config.stack.stack import Stack
from config.commands.base.deployment import DataDir, joined_settings, require
from config.commands.base.failures import FileCommand, PlainGroup, plain_failures
from config.commands.limits import TO_ASK, TO_RUN, refuse_limits

app = typer.Typer(
    name="tradeactors",
    cls=PlainGroup,
    help="A multi-tenant algo-trading engine: one Ray actor per strategy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

app.command()(demo)
app.command(cls=FileCommand)(replay)
app.command()(status)
app.command()(top)
app.command()(why)
app.command()(logs)
app.command()(panic)
app.command()(drain)
app.command()(prune)
app.command(cls=FileCommand)(backup)
app.command(cls=FileCommand)(restore)
app.command("add-user")(add_user)
app.command()(invite)
app.command("reset-password")(reset_password)

ApiHost = Annotated[str | None, typer.Option(help="Address the API listens on. [TRADEACTORS_API_HOST]")]
ApiPort = Annotated[int | None, typer.Option(help="Port of the API; 0: a free one. [TRADEACTORS_API_PORT]")]
PaperPort = Annotated[int | None, typer.Option(help="Port of the paper exchange. [TRADEACTORS_PAPER_PORT]")]
DashboardPort = Annotated[int | None, typer.Option(help="Port of the Ray dashboard. [TRADEACTORS_DASHBOARD_PORT]")]


@app.command()
def up(
    data_dir: DataDir = None,
    api_host: ApiHost = None,
    api_port: ApiPort = None,
    paper_port: PaperPort = None,
    dashboard_port: DashboardPort = None,
) -> None:
    """Run the whole stack until Ctrl-C: PostgreSQL, Valkey, Ray, the paper exchange and the API."""
    from rich.console import Console

    from config.settings import load_settings
    from config.stack.guarded_process import interrupt_on_signals
    from config.stack.stack import Stack

    console = Console()
    with plain_failures():
        refuse_limits(TO_RUN)
        settings = load_settings(
            secrets="create",
            data_dir=data_dir,
            api_host=api_host,
            api_port=api_port,
            paper_port=paper_port,
            dashboard_port=dashboard_port,
        )
        _check_calendar(settings)
        with interrupt_on_signals(), _announced_end(console), ExitStack() as running:
            with console.status("Starting ..."):
                stack = running.enter_context(Stack(settings))
            _print_places(console, stack)

            def say(sentence: str) -> None:
                with suppress(OSError):  # the terminal that was closed, or a full disk
                    console.print(sentence, markup=False, highlight=False)

            try:
                stack.watch(say)
            except KeyboardInterrupt:
                say("Stopping ...")
                raise


@app.command()
def api(data_dir: DataDir = None, api_host: ApiHost = None, api_port: ApiPort = None) -> None:
    """Run the API alone, on the databases and the Ray of the settings, or of the `up` that runs here."""
    with plain_failures():
        refuse_limits(TO_ASK)
        settings = joined_settings(data_dir, api_host=api_host, api_port=api_port)
        require(settings, "database_url", "redis_url", "ray_address")
        _check_calendar(settings)
        from config.settings import PREFIX
        from config.stack.guarded_process import require_free_port

        if settings.api_port:
            require_free_port(settings.api_host, settings.api_port, f"{PREFIX}API_PORT", "API")
        from actors.runtime.hosts.process_tuning import Niceness, tune
        from api.app import create_app
        from api.server import serve

        tune(Niceness.API)

        serve(create_app(), settings.api_host, settings.api_port)


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
def paper(context: typer.Context) -> None:
    """Run the paper exchange alone on PAPER_PORT; its own options follow (see `tradeactors paper --help`)."""
    import os
    import sys

    from config.settings import load_settings

    with plain_failures():
        settings = load_settings(secrets="optional")
    argv = [sys.executable, "-P", "-m", "broker.paper", "--port", str(settings.paper_port), *context.args]
    os.execv(sys.executable, argv)  # noqa: S606


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database of the settings, or of the `up` that runs here, to the newest schema."""
    with plain_failures():
        settings = joined_settings(data_dir)
        require(settings, "database_url")
        from persistence.database.engine import migrate as migrate_database

        migrate_database(settings.database_url)
        typer.echo("The database is at the newest schema.")


@app.command()
def doctor(
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    send_alert: Annotated[bool, typer.Option("--send-alert", help="Send a test to each of ALERT_URLS.")] = False,
) -> None:
    """Check everything that an operator can get wrong; exit code 1 if something must be put right."""
    from rich.console import Console

    from config.commands import doctor as examination

    with plain_failures():
        refuse_limits(TO_ASK)
        settings = joined_settings(data_dir)
        require(settings, "database_url", "redis_url", "ray_address")
        raise typer.Exit(examination.run(settings, Console(), as_json=as_json, send_alert=send_alert))


@app.command("rotate-keys")
def rotate_keys(
    data_dir: DataDir = None,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Make no new key; remove those that nothing needs any more.")
    ] = False,
) -> None:
    """Put the stored broker credentials under a new encryption key; the stack may run meanwhile."""
    import asyncio

    from config.settings import given_settings

    with plain_failures():
        settings = joined_settings(data_dir)
        require(settings, "database_url")
        set_by_operator = bool(given_settings().encryption_keys)
        from persistence.secrets import key_rotation

        own = not set_by_operator
        rotation = asyncio.run(
            key_rotation.rotate_keys(settings, new_key=own and not drop_old, drop_old=own and drop_old)
        )
        for line in key_rotation.report(rotation, set_by_operator=set_by_operator):
            typer.echo(line)
        if rotation.unreadable:
            raise typer.Exit(1)


def _check_calendar(settings: "Settings") -> None:
    """Refuse a file of sessions that cannot be used before anything is started, in a sentence."""
    from api.bootstrap import calendars_of

    calendars_of(settings)


@contextmanager
def _announced_end(console: "Console") -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        console.print("Everything is stopped.")
        raise typer.Exit(0) from None


def _print_places(console: "Console", stack: "Stack") -> None:
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    from config.ray_settings import TOKEN_FILE
    from config.stack.paper import TOKEN_FILE as PAPER_TOKEN_FILE

    urls = stack.urls
    phone = app_for_phones(stack.settings)
    rows = [("App", app_on(urls["API"]))]
    if phone is not None:
        rows.append(("  on a phone", phone))
    rows.append(("API", f"{urls['API']}/docs" if stack.settings.docs_served else urls["API"]))
    if "dashboard" in urls:
        rows.append(("Ray dashboard", f"{urls['dashboard']}  (token: {stack.settings.data_dir / TOKEN_FILE})"))
    if "paper exchange" in urls:
        rows += [
            ("Paper exchange", urls["paper exchange"]),
            ("  credentials", 'api_key "paper", api_secret "paper-secret", access_token "paper-token"'),
            ("  another account", f"POST {urls['paper exchange']}/paper/accounts with the body {{}}"),
        ]
        if stack.settings.paper_token_wanted:
            path = stack.settings.data_dir / PAPER_TOKEN_FILE
            rows.append(("  control token", f"{path}  (Authorization: Bearer ...)"))
    rows += [("Logs", str(stack.log_directory)), ("Stop", "Ctrl-C")]
    table = Table.grid(padding=(0, 2))
    for name, place in rows:
        table.add_row(name, escape(place))  # an IPv6 address in brackets is no style
    console.print(Panel(table, title="TradeActors is up", expand=False))
    if phone is not None and console.is_terminal:
        console.print(qr_code(phone))


if __name__ == "__main__":
    app()
