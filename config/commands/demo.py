"""`tradeactors demo`: three strategies traded end to end on real parts, and judged by the exchange's own ledger."""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import httpx
    from rich.console import Console
    from rich.table import Table

    from config.settings import Settings
    from config.stack.stack import Stack

EMAIL, PASSWORD = "trader@example.com", "correct horse battery staple"
"""The trader of the demo, on a stack that is gone after it."""

_BUY_IN = timedelta(seconds=15)
_RECORDING = "YESBANK-2019-07-09-1min.csv"
_RECORDING_FROM = "12:24"
_RECORDED_FIRST = 93.45
_RECORDING_SPEED = 30
_DEADLINE_S = 90
_LONGEST = timedelta(seconds=100)
_POLL_S = 0.25
_CRASH_REPLACED_WITHIN_S = 20


@dataclass
class Case:
    """One strategy of the demo and how it should end."""

    title: str
    symbol: str
    stop_loss: str
    sells_in: timedelta
    ends_as: str
    strategy_id: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether the strategy has stopped."""
        return self.status.get("strategy_status") == "stopped"


def _cases() -> tuple[Case, Case, Case]:
    return (
        Case("buys and sells on time", "INFY", "1000.00", timedelta(seconds=18), "sold"),
        Case("stopped out (recorded day)", "YESBANK", "92.00", timedelta(seconds=80), "exited_by_sl"),
        Case("kill -9 while holding", "TCS", "2000.00", timedelta(seconds=24), "sold"),
    )


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running until Ctrl-C afterwards.")] = False,
) -> None:
    """Trade three strategies on real parts: one on time, one stopped out, one that survives a kill -9."""
    from rich.console import Console
    from rich.markup import escape

    from config.commands.app_address import app_on
    from config.commands.base.failures import plain_failures
    from config.commands.limits import TO_RUN, refuse_limits
    from config.settings import given_settings, load_settings
    from config.stack.guarded_process import interrupt_on_signals
    from config.stack.stack import Stack

    console = Console(width=None if sys.stdout.isatty() else 120)
    with plain_failures(), interrupt_on_signals(), ExitStack() as running:
        refuse_limits(TO_RUN)
        data_dir = running.enter_context(_temporary_data_dir())
        with console.status("Starting PostgreSQL, Valkey, Ray, the paper exchange and the API ..."):
            began = time.monotonic()
            ports = {"api_port": 0, "paper_port": 0, "dashboard_port": 0}
            _refuse_parts_of_others(given_settings(env_file=None, data_dir=data_dir, **ports))
            settings = load_settings(secrets="create", env_file=None, data_dir=data_dir, **ports)
            stack = running.enter_context(Stack(settings))
        console.print(escape(f"Stack up in {time.monotonic() - began:.1f} s: {stack.urls['API']}/docs"))
        with plain_silence():
            cases = asyncio.run(_Demo(stack, console).play())
        ok = not any(case.failures for case in cases)
        console.print("[green]Every strategy ended as it should.[/]" if ok else "[red]Something went wrong.[/]")
        if keep:
            console.print(escape(f"Still running: {stack.urls}. Ctrl-C stops it."))
            console.print(f"The app: [bold]{escape(app_on(stack.urls['API']))}[/]")
            console.print(
                f"What was traded is there as {EMAIL}, password “{PASSWORD}”; or open an account of your own."
            )
            stack.watch()
    raise typer.Exit(0 if ok else 1)


@contextmanager
def plain_silence() -> Iterator[None]:
    """Say in a sentence that the stack does not answer. Raises StackError."""
    import httpx

    from config.stack.guarded_process import StackError

    try:
        yield
    except httpx.TransportError as silence:
        url = silence.request.url
        raise StackError(
            f"{url.host}:{url.port} gave no answer to {silence.request.method} {url.path} ({type(silence).__name__}): "
            "this machine may be too busy for the demo. Try it again when it has a core to spare."
        ) from silence


def _refuse_parts_of_others(settings: "Settings") -> None:
    """Trade nothing on a database, Redis, Ray or exchange that the environment of a shell names."""
    from config.settings import PREFIX
    from config.stack.guarded_process import StackError

    named = [name for name in ("database_url", "redis_url", "ray_address", "paper_root") if getattr(settings, name)]
    named += ["brokers"] if settings.brokers != ("paper",) else []
    if named:
        variables = ", ".join(PREFIX + name.upper() for name in named)
        raise StackError(f"The demo trades on parts of its own, and {variables} names others: unset it here.")


def _temporary_data_dir() -> Any:
    import tempfile

    return tempfile.TemporaryDirectory(prefix="ta-demo-", ignore_cleanup_errors=True)


class _Demo:
    """The demo as a trader's app would do it: over REST, knowing nothing of the engine but its address."""

    def __init__(self, stack: "Stack", console: "Console") -> None:
        self._stack, self._console = stack, console
        self._cases = _cases()

    async def play(self) -> tuple[Case, ...]:
        import httpx
        from rich.live import Live

        from config.stack.paper import paper_token

        control = {"Authorization": f"Bearer {paper_token(self._stack.settings.data_dir)}"}
        urls = self._stack.urls  # of this machine: the environment's proxies are for the way out
        async with (
            httpx.AsyncClient(base_url=urls["API"], timeout=40, trust_env=False) as api,
            httpx.AsyncClient(
                base_url=urls["paper exchange"], headers=control, timeout=10, trust_env=False
            ) as exchange,
        ):
            await self._onboard(api, exchange)
            await self._start_strategies(api, exchange)
            with Live(self._progress(), console=self._console, refresh_per_second=8) as live:
                crash = asyncio.create_task(self._crash(self._cases[2]))
                await self._watch(api, lambda: live.update(self._progress()))
                await crash
            self._console.print()
            await self._judge(exchange)
            self._console.print(self._outcome())
            self._console.print(await self._latencies(api))
        return self._cases

    async def _onboard(self, api: "httpx.AsyncClient", exchange: "httpx.AsyncClient") -> None:
        credentials = {"email": EMAIL, "password": PASSWORD}
        registered = _ok(await api.post("/auth/register", json=credentials))
        api.headers["Authorization"] = f"Bearer {registered['access_token']}"
        account = _ok(await exchange.post("/paper/accounts", json={}))
        keys = {name: account[name] for name in ("api_key", "api_secret", "access_token")}
        connected = _ok(await api.post("/broker/connect", json={"broker": "paper", **keys}))
        self._user_id = connected["broker_user_id"]
        self._console.print(f"Registered, and connected to the paper exchange as {self._user_id}")

    async def _start_strategies(self, api: "httpx.AsyncClient", exchange: "httpx.AsyncClient") -> None:
        now = datetime.now(self._stack.settings.zone)
        if (now + _LONGEST).date() != now.date():
            self._console.print("Waiting for midnight: a strategy buys and sells on one day")
            await asyncio.sleep((now.replace(hour=23, minute=59, second=59) - now).total_seconds() + 2)
        await asyncio.gather(*(self._create(api, case) for case in self._cases))
        buy_at = (datetime.now(self._stack.settings.zone) + _BUY_IN).replace(microsecond=0)
        for case in self._cases:
            times = {"buy_time": f"{buy_at:%H:%M:%S}", "sell_time": f"{buy_at + case.sells_in:%H:%M:%S}"}
            _ok(await api.patch(f"/strategy/{case.strategy_id}", json=times))
        # As at the beginning of the recording: START wants the market above the stop-loss.
        _ok(await exchange.post("/paper/price", json={"instrument": "NSE:YESBANK", "price": _RECORDED_FIRST}))
        began = time.monotonic()
        starts = [api.post("/strategy/start", json={"strategy_id": case.strategy_id}) for case in self._cases]
        for answer in await asyncio.gather(*starts):
            _ok(answer)
        started = f"Three strategies, each a Ray actor, started in {time.monotonic() - began:.1f} s"
        self._console.print(f"{started}; all buy at {buy_at:%H:%M:%S}")
        before_the_buy = buy_at - datetime.now(buy_at.tzinfo) - timedelta(seconds=2)
        await asyncio.sleep(max(0.0, before_the_buy.total_seconds()))
        recorded = {"kind": "recorded", "file": _RECORDING, "speed": _RECORDING_SPEED, "start_at": _RECORDING_FROM}
        _ok(await exchange.post("/paper/market", json={"instrument": "NSE:YESBANK", "source": recorded}))

    async def _create(self, api: "httpx.AsyncClient", case: Case) -> None:
        wanted = {
            "symbol": case.symbol,
            "buy_time": "00:00:00",
            "sell_time": "23:59:59",
            "stop_loss": float(case.stop_loss),
            "quantity": 10,
        }
        case.strategy_id = _ok(await api.post("/strategy/create", json=wanted))["strategy_id"]

    async def _watch(self, api: "httpx.AsyncClient", show: Callable[[], None]) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not all(case.over for case in self._cases) and time.monotonic() < deadline:
            for case in self._cases:
                case.status = _ok(await api.get(f"/strategy/status/{case.strategy_id}"))
            show()
            await asyncio.sleep(_POLL_S)

    async def _crash(self, case: Case) -> None:
        """kill -9 the process of the actor while it holds its position, and see another one guard it."""
        import os
        import signal

        from actors.ports.common import PeerUnavailable
        from actors.runtime import names
        from actors.runtime.driver import cluster

        await asyncio.to_thread(cluster.connect, self._stack.settings)
        from actors.runtime.peers import Peers

        peers, name = Peers(), names.strategy_name(case.strategy_id)
        deadline = time.monotonic() + _DEADLINE_S
        while case.status.get("position") != "bought":
            if case.over or time.monotonic() > deadline:
                case.failures.append("it never held a position")
                return
            await asyncio.sleep(_POLL_S)
        pid = await peers.call(name, "process_id")
        os.kill(pid, signal.SIGKILL)
        killed_at = time.monotonic()
        case.notes.append(f"killed pid {pid}")
        while time.monotonic() - killed_at < _CRASH_REPLACED_WITHIN_S:
            try:
                view = await peers.call(name, "view")
                successor = await peers.call(name, "process_id")
            except PeerUnavailable:
                await asyncio.sleep(0.05)
                continue
            if successor != pid and view is not None and view.position == "bought":
                case.notes.append(f"guarded again by pid {successor} after {time.monotonic() - killed_at:.1f} s")
                return
            await asyncio.sleep(0.05)
        case.failures.append("no actor guarded the position again")

    async def _judge(self, exchange: "httpx.AsyncClient") -> None:
        """The exchange's ledger has the last word: one BUY and one SELL each, everything flat."""
        ledger = _ok(await exchange.get("/paper/ledger", params={"user_id": self._user_id}))
        orders = ledger["accounts"][self._user_id]["orders"]
        for case in self._cases:
            if case.status.get("position") != case.ends_as:
                case.failures.append(f"ended as {case.status.get('position')}, not {case.ends_as}")
            mine = [order for order in orders if order["tradingsymbol"] == case.symbol]
            sides = sorted(order["transaction_type"] for order in mine if order["status"] == "COMPLETE")
            if sides != ["BUY", "SELL"]:
                case.failures.append(f"the exchange has the orders {sides}")

    def _progress(self) -> "Table":
        from rich.table import Table

        table = Table("Strategy", "Symbol", "Status", "Position", "Price ₹", "What the app shows", title="Live")
        for case in self._cases:
            status = case.status
            price = f"{status['last_price']:.2f}" if status.get("last_price") else ""
            state, position = status.get("strategy_status", ""), status.get("position", "")
            message = "; ".join([status.get("message", ""), *case.notes])
            table.add_row(case.title, case.symbol, state, position, price, message)
        return table

    def _outcome(self) -> "Table":
        from rich.table import Table

        table = Table("Strategy", "Symbol", "Bought ₹", "Sold ₹", "P&L ₹", "Ended as", "Verdict", title="What happened")
        for case in self._cases:
            status = case.status
            verdict = "[red]" + "; ".join(case.failures) + "[/]" if case.failures else "[green]as it should[/]"
            prices = [f"{status[name]:.2f}" if status.get(name) else "" for name in ("buy_price", "sell_price")]
            pnl = f"{status['pnl']:+.2f}" if status.get("pnl") is not None else ""
            notes = "\n".join([str(status.get("position")), *case.notes])
            table.add_row(case.title, case.symbol, *prices, pnl, notes, verdict)
        return table

    async def _latencies(self, api: "httpx.AsyncClient") -> "Table":
        from rich.table import Table

        to_sent: dict[str, list[float]] = {}
        to_order_id: dict[str, list[float]] = {}
        for case in self._cases:
            page = _ok(await api.get(f"/strategy/{case.strategy_id}/orders", params={"limit": 100}))
            for line in page["orders"]:
                if line["triggered_at"] and line["sent_at"]:
                    triggered, sent, answered = (
                        datetime.fromisoformat(line[name]) for name in ("triggered_at", "sent_at", "occurred_at")
                    )
                    to_sent.setdefault(line["event"], []).append(_ms(sent - triggered))
                    to_order_id.setdefault(line["event"], []).append(_ms(answered - triggered))
        table = Table("Order", "Trigger → request, ms", "Trigger → order id, ms", title="Latencies (median)")
        for event, values in to_sent.items():
            table.add_row(event, f"{statistics.median(values):.1f}", f"{statistics.median(to_order_id[event]):.1f}")
        return table


def _ms(elapsed: timedelta) -> float:
    return elapsed / timedelta(milliseconds=1)


def _ok(answer: "httpx.Response") -> Any:
    """The answer's JSON; a refusal ends the demo with its reason."""
    from config.stack.guarded_process import StackError

    if answer.is_error:
        raise StackError(
            f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text}"
        )
    return answer.json()
