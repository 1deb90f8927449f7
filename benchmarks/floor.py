"""The real stack around the stamping exchange, with traders, and strategies whose runs are begun at will."""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx

from benchmarks.baselines import FALLEN, FAR_STOP, PRICE, QUIET_S, STOP
from benchmarks.exchange_control import Breach, Control
from config.stack.stack import Part
from tests.kit.stack import running_stack  # first of what imports Ray: it puts Ray's settings into the environment

KEY, SYMBOL = "NSE:INFY", "INFY"
PARTS = (Part.POSTGRES, Part.VALKEY, Part.RAY, Part.API)
FLOW_TICKS, FLOW_S = 20, 0.01
"""What a warm shot has before the tick that breaches: `FLOW_TICKS` ticks, a hundred a second. A cold one has the
market's own, one a second."""

BUY_IN_S, EACH_BUY_IN_S = 1.5, 0.2
"""From a run's beginning to its buy time, and for each further seat: what it takes until their actors wait for it."""

BOUGHT_S, GUARDED_WITHIN_S = 0.3, 60.0


@dataclass
class Seat:
    """A trader with one strategy, and the strategy's actor."""

    user_id: int
    account_id: int
    strategy_id: int
    headers: dict[str, str]
    actor: Any = None


@dataclass
class Shot:
    """One run: when it was to buy, when its orders arrived, when the tick left that stopped it. Nanoseconds."""

    seat: Seat
    run_id: int
    buy_at_ns: int
    bought_ns: int = 0
    ticked_ns: int = 0
    sold_ns: int = 0
    sockets: int = 0
    """To how many WebSockets the exchange wrote that tick."""

    tags: tuple[str, str] = field(default=("", ""))

    @property
    def buy_ms(self) -> float:
        """From the buy time to the arrival of the BUY."""
        return (self.bought_ns - self.buy_at_ns) / 1e6

    @property
    def stop_ms(self) -> float:
        """From the tick on the exchange's socket to the arrival of the stop-loss order."""
        return (self.sold_ns - self.ticked_ns) / 1e6


class Floor:
    """See the head of this module."""

    def __init__(self, stack: Any, exchange: Control) -> None:
        from persistence.database.engine import open_database, sessions_of

        self.stack, self.exchange = stack, exchange
        self.settings = stack.settings
        self.seats: list[Seat] = []
        self.polled: Seat
        """Whose status the load asks for: the first seat's, also when it has gone."""

        self.loop = asyncio.new_event_loop()
        self._database = open_database(self.settings.database_url)
        self._sessions = sessions_of(self._database)

    def close(self) -> None:
        """Close the database."""
        self.loop.run_until_complete(self._database.dispose())
        self.loop.close()

    def take_seats(self, count: int) -> list[Seat]:
        """`count` more traders, each with a strategy and its actor, ready to begin runs."""
        import ray

        from actors.runtime.names import Pools
        from benchmarks.repeating import create_repeating

        pools = Pools(self.settings.execution_actors, self.settings.ledger_actors, self.settings.brokers)
        new = [self.sign_up(len(self.seats) + number) for number in range(count)]
        for seat in new:
            seat.actor = create_repeating(seat.strategy_id, pools)
        ray.get([seat.actor.process_id.remote() for seat in new], timeout=180)
        self.seats += new
        self.polled = self.seats[0]
        # The first run pays for what all others find ready: ledgers, execution, feed. The others run along: the engine
        # ends an actor that has been without a run for minutes.
        self.shoot(self.seats, 8 + buy_in_s(len(self.seats)))
        return new

    def sign_up(self, number: int) -> Seat:
        """A trader with an account and a strategy that has no actor."""
        with httpx.Client(base_url=self.stack.urls["API"], timeout=60) as http:
            email, password = f"trader{number}@example.com", "correct horse battery staple"
            token = _ok(http.post("/auth/register", json={"email": email, "password": password}))["access_token"]
            http.headers["Authorization"] = f"Bearer {token}"
            keys = {"api_key": f"key{number:013d}", "api_secret": "s" * 32, "access_token": f"token{number:027d}"}
            _ok(http.post("/broker/connect", json={"broker": "paper", **keys}))
            created = _ok(
                http.post(
                    "/strategy/create",
                    json={"symbol": SYMBOL, "buy_time": "00:00:01", "sell_time": "23:59:58", "stop_loss": STOP / 100,
                          "quantity": 1},
                )
            )  # fmt: skip
        rows = self.loop.run_until_complete(self._rows(created["strategy_id"]))
        return Seat(*rows, created["strategy_id"], dict(http.headers))

    async def _rows(self, strategy_id: int) -> tuple[int, int]:
        from sqlalchemy import text

        async with self._sessions() as session:
            statement = text(
                "select s.user_id, a.id from strategies s join broker_accounts a using (user_id) where s.id = :id"
            )
            user_id, account_id = (await session.execute(statement, {"id": strategy_id})).one()
        return int(user_id), int(account_id)

    # --- runs -----------------------------------------------------------------------------------------------------

    def begin(self, seats: Sequence[Seat], buy_in: float | None = None, stop: int = STOP) -> list[Shot]:
        """A new run for each seat, all with the same buy time, `buy_in` seconds from now."""
        import ray

        buy_at = datetime.now(UTC) + timedelta(seconds=buy_in if buy_in is not None else buy_in_s(len(seats)))
        runs = self.loop.run_until_complete(self._open_runs(seats, buy_at, stop))
        ray.get([seat.actor.begin.remote(run_id) for seat, (run_id, _) in zip(seats, runs, strict=True)], timeout=60)
        assert datetime.now(UTC) < buy_at, "the runs were not ready for their buy time"
        buy_at_ns = round(buy_at.timestamp() * 1e6) * 1000
        return [Shot(seat, run_id, buy_at_ns, tags=tags) for seat, (run_id, tags) in zip(seats, runs, strict=True)]

    async def _open_runs(self, seats: Sequence[Seat], buy_at: datetime, stop: int) -> list[tuple[int, tuple[str, str]]]:
        from actors.domain.session import SessionTimes
        from api.strategies.new_run import _described, first_intent, first_state, new_run
        from persistence.database.engine import transaction
        from persistence.database.models.strategies import Strategy
        from persistence.database.repositories.runs import Runs

        opened = []
        async with transaction(self._sessions) as session:
            for seat in seats:
                strategy = await session.get(Strategy, seat.strategy_id)
                assert strategy is not None
                strategy.status, strategy.stop_loss_paise = "running", stop
                times = SessionTimes(buy_at, buy_at + timedelta(hours=1))
                run = await Runs(session).add(new_run(strategy, seat.account_id, times, ""))
                run.state = first_state(run, strategy, self.settings.zone)
                await Runs(session).add_intent(first_intent(run, strategy, self.settings.zone))
                described = _described(run, strategy, self.settings.zone)
                opened.append((run.id, (described.entry_intent().tag, described.exit_intent(1, 1).tag)))
        return opened

    def shoot(self, seats: Sequence[Seat], buy_in: float | None = None, *, warm: bool = False) -> list[Shot]:
        """Buy, let the price fall through the stop-loss of all at once, and wait until every seat is out.

        The benchmark asks no process anything from the moment at which all guard to the arrival of the last order.
        """
        import ray

        self.exchange.open_market(KEY, PRICE)
        self.exchange.tick(KEY, PRICE)
        shots = self._all_guarding(seats, buy_in)
        time.sleep(random.uniform(*QUIET_S))
        breach = self._burst(len(shots)) if warm else self.exchange.fall(KEY, FALLEN, len(shots))
        over = ray.get([shot.seat.actor.over.remote() for shot in shots], timeout=60)
        assert set(over) == {"exited_by_sl"}, over
        self.exchange.open_market(KEY, PRICE)
        bought = {tag: stamp for tag, side, _, stamp in self.exchange.orders() if side == "BUY"}
        for shot in shots:
            entry, leaving = shot.tags
            shot.ticked_ns, shot.sockets = breach.stamp, breach.sockets
            shot.bought_ns, shot.sold_ns = bought[entry], breach.sold[leaving]
        return shots

    def hold(self, seats: Sequence[Seat]) -> None:
        """They buy, and guard a stop-loss that is never touched."""
        self.exchange.open_market(KEY, PRICE)
        self.exchange.tick(KEY, PRICE)
        self._all_guarding(seats, stop=FAR_STOP)

    def release(self, seats: Sequence[Seat]) -> None:
        """STOP them: what they hold is sold, and their runs end."""
        import ray

        stopped = ray.get([seat.actor.stop.remote(30) for seat in seats], timeout=120)
        assert all(stopped), stopped

    def dismiss(self) -> None:
        """End all actors, between runs: what follows has the machine for itself."""
        import ray

        for seat in self.seats:
            ray.kill(seat.actor)
        self.seats = []
        self.exchange.close_market(KEY)

    def _all_guarding(self, seats: Sequence[Seat], buy_in: float | None = None, stop: int = STOP) -> list[Shot]:
        """Begin, until all guard. A machine that halts for seconds makes some miss their buy; those buy once more."""
        guarding, missed = self._await_guards(self.begin(seats, buy_in, stop))
        if missed:
            again, missed = self._await_guards(self.begin([shot.seat for shot in missed], buy_in, stop))
            guarding += again
        assert not missed, self._told_of(missed)
        return guarding

    def _await_guards(self, shots: Sequence[Shot]) -> tuple[list[Shot], list[Shot]]:
        """Those that guard, and those whose runs have ended without."""
        import ray

        time.sleep(max(0.0, shots[0].buy_at_ns / 1e9 + BOUGHT_S - time.time()))  # the floor asks nothing while they buy
        asked = {shot.seat.actor.guarding.remote(): shot for shot in shots}
        known, waiting = ray.wait(list(asked), num_returns=len(shots), timeout=GUARDED_WITHIN_S)
        assert not waiting, self._told_of([asked[ref] for ref in waiting])
        guarding = [asked[ref] for ref in known if ray.get(ref)]
        return guarding, [shot for shot in shots if shot not in guarding]

    def _burst(self, orders: int) -> Breach:
        self.exchange.close_market(KEY)
        for _ in range(FLOW_TICKS):
            self.exchange.tick(KEY, PRICE)
            time.sleep(FLOW_S)
        self.exchange.open_market(KEY, PRICE)  # its first tick comes in a second
        return self.exchange.fall(KEY, FALLEN, orders, now=True)

    def _told_of(self, shots: Sequence[Shot]) -> str:
        return self.loop.run_until_complete(self._logged([shot.run_id for shot in shots]))

    async def _logged(self, runs: list[int]) -> str:
        from sqlalchemy import text

        async with self._sessions() as session:
            statement = text(
                "select run_id, occurred_at, event, reason from order_logs where run_id = any(:runs) order by 2"
            )
            rows = (await session.execute(statement, {"runs": runs})).all()
        return "these do not guard:\n" + "\n".join(
            f"{run} {at:%H:%M:%S.%f} {event}: {why}" for run, at, event, why in rows
        )

    def attempts(self) -> dict[int, tuple[datetime, datetime]]:
        """By run: when the triggering tick arrived at the guard that decided, and when execution sent the stop-loss."""
        return self.loop.run_until_complete(self._attempts())

    async def _attempts(self) -> dict[int, tuple[datetime, datetime]]:
        from sqlalchemy import text

        async with self._sessions() as session:
            statement = text(
                "select run_id, detail->>'triggered_at', detail->>'sent_at' from order_logs "
                "where leg = 'EXIT' and detail ? 'sent_at'"
            )
            rows = (await session.execute(statement)).all()
            return {run_id: (datetime.fromisoformat(due), datetime.fromisoformat(sent)) for run_id, due, sent in rows}


@contextlib.contextmanager
def open_floor(exchange: Control, **settings: Any) -> Iterator[Floor]:
    """The stack around this exchange, for as long as the block runs."""
    chosen = {
        "paper_root": exchange.root,
        "paper_ws_root": exchange.ws_root,
        "brokers": "paper",
        "api_rate_per_minute": 0,
        "api_requests_at_once": 0,
        "auth_rate_per_minute": 0,
        "access_token_minutes": 1440,
        "execution_actors": 1,
        "max_running": 1000,
        "max_running_total": 1000,
    }
    with running_stack(PARTS, **{**chosen, **settings}) as stack:
        import ray

        from actors.runtime.driver import cluster

        cluster.connect(stack.settings)
        floor = Floor(stack, exchange)
        try:
            yield floor
        finally:
            floor.close()
            ray.shutdown()


def buy_in_s(seats: int) -> float:
    """From the beginning of their runs to their buy time."""
    return BUY_IN_S + EACH_BUY_IN_S * seats


class ApiLoad:
    """A client that polls the status of a strategy `per_second` times a second, in a process of its own."""

    def __init__(self, url: str, headers: dict[str, str], strategy_id: int, per_second: int) -> None:
        target = f"{url}/strategy/status/{strategy_id}"
        self._argv = [sys.executable, "-m", "benchmarks.poller", target, headers["authorization"], str(per_second)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._argv)
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


def _ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text}"
    return dict(answer.json())
