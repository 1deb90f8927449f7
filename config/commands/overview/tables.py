"""What `status` and `top` print: the verdict first, then what is wrong with what to do, then the figures."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from api.overview.facts import Facts
from api.overview.figures import figures_of
from config.commands.overview.trouble import Trouble, Urgency
from config.commands.overview.verdict import Outcome, Verdict
from persistence.mirror.presence import Presence

_STYLES = {Outcome.WELL: "bold green", Outcome.TROUBLE: "bold red", Outcome.UNKNOWN: "bold yellow"}
_MARKS = {Urgency.NOW: ("NOW", "bold red"), Urgency.SOON: ("SOON", "yellow"), Urgency.NOTE: ("note", "dim")}
_MB = 1_000_000


def overview(facts: Facts, verdict: Verdict, most_troubles: int | None = None) -> RenderableType:
    """All of it. `most_troubles`: how many are shown, if a screen has no room for more."""
    headline = Text.assemble((verdict.sentence, _STYLES[verdict.outcome]), (f"  {facts.at:%H:%M:%S}", "dim"))
    parts: list[RenderableType] = [headline]
    parts += [Text(f"  not known: {sentence}", style="yellow") for sentence in verdict.unknown]
    if verdict.troubles:
        parts += [Text(), _troubles(verdict.troubles[:most_troubles])]
        hidden = len(verdict.troubles) - len(verdict.troubles[:most_troubles])
        if hidden:
            parts.append(Text(f"  and {hidden} more: `tradeactors status` shows all", style="dim"))
    return Group(*parts, Text(), _figures(facts), *_processes(facts))


def _troubles(troubles: Sequence[Trouble]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, min_width=4)
    table.add_column(overflow="fold")
    for trouble in troubles:
        word, style = _MARKS[trouble.urgency]
        said = Text.assemble(trouble.sentence, (f"  {trouble.code}", "dim"))
        if trouble.urgency is not Urgency.NOTE:
            said.append(f"\n{trouble.do}: {trouble.runbook}", style="cyan")
        table.add_row(Text(word, style=style), said)
    return table


def _figures(facts: Facts) -> Table:
    figures = figures_of(facts)
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True, style="bold")
        table.add_column(overflow="fold")
    rows = [
        ("strategies", f"{_n(figures['running'])} run, {_n(figures['waiting_to_buy'])} wait to buy"),
        ("today", f"{_n(figures['ended_today'])} ended, {_n(figures['failed_today'])} of them failed"),
        ("positions", f"{_n(figures['holding'])} held, {_n(figures['exiting'])} being sold"),
        ("schedules", f"{_n(figures['scheduled_today'])} today, {_n(figures['schedules_missed_today'])} missed"),
        (
            "guarded",
            (
                f"{_n(figures['guarded_twice'])} twice, {_n(figures['guarded_once'])} once, "
                f"{_n(figures['not_guarded'])} not"
            ),
        ),
        ("on the way", f"{_n(figures['orders_queued'])} orders, {_n(figures['notices_waiting'])} notices"),
        ("prices", _feeds(facts)),
        ("forbidden", f"entries of {_n(figures['users_without_entries'])} users"),
    ]
    for left, right in zip(rows[::2], rows[1::2], strict=True):
        table.add_row(*left, *right)
    return table


def _feeds(facts: Facts) -> str:
    if facts.mirror is None:
        return "?"
    said = []
    for broker in facts.brokers:
        streams = facts.mirror.feeds.get(broker, ())
        words = ", ".join(
            f"{stream.word} ({stream.lag_ms} ms)" if stream.lag_ms is not None else stream.word for stream in streams
        )
        said.append(f"{broker} {words or 'no stream'}")
    return "; ".join(said)


def _processes(facts: Facts) -> Iterator[RenderableType]:
    """The actors of the pools and the processes of the API, by machine."""
    if facts.mirror is None:
        return
    hosts: dict[str, list[Presence]] = {}
    for presence in facts.mirror.presences:
        hosts.setdefault(presence.host, []).append(presence)
    if not hosts:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("machine", overflow="fold")
    table.add_column("processes", overflow="fold")
    table.add_column("memory", justify="right", no_wrap=True)
    for host, presences in sorted(hosts.items()):
        names = Text(", ").join(_process(presence) for presence in presences)
        memory = sum(presence.resident_bytes for presence in presences if not presence.silent)
        table.add_row(host, names, f"{memory / _MB:.0f} MB")
    yield Padding(table, (1, 0, 0, 0))


def _process(presence: Presence) -> Text:
    name = f"api:{presence.pid}" if presence.name.startswith("api:") else presence.name
    if presence.silent:
        return Text(f"{name} silent for {presence.age_s:.0f} s", style="red")
    return Text(name)


def _n(number: int | None) -> str:
    """A number, or a question mark for what is not known."""
    return "?" if number is None else str(number)
