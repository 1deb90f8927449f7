"""One tenant does the worst that his limits allow; another one trades: alone, and beside it, in pairs.

python -m tests.neighbours.run [--pairs N] [--strategies N] [--stops N] [--report docs/neighbours-report.md]
"""

import argparse
import asyncio
import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from api.notifications.sending.push_encryption import encode
from benchmarks.figures import machine
from config.settings import PREFIX
from tests.chaos.outside_judge import broken_promises
from tests.kit.mail_server import free_port
from tests.kit.paper import eventually
from tests.kit.session import running_session
from tests.kit.telegram import TOKEN, telegram_server
from tests.kit.trader import Deployment
from tests.neighbours.growth import bounds, grown
from tests.neighbours.measure import FALLING, STOPS, Neighbour, open_market
from tests.neighbours.noise_process import NoiseProcess, counts_of
from tests.neighbours.report import Seen, report, summary
from tests.neighbours.routes import added, operations, unserved

PAIRS, STRATEGIES, EXITS = 5, 1000, 3000
HELD = FALLING[:2]
"""The noisy tenant holds these, whose stop-losses the neighbour's fall in: both are heard by the same routers."""

QUIET_WITHIN_S = 120.0

LIMITS: dict[str, Any] = {
    # None: as the product has it, in place of what the tests' kit chooses
    "entry_quarantine_s": None,
    "exit_quarantine_s": None,
    "order_timeout_s": None,
    "execution_actors": None,
    "max_running": None,
    "max_running_total": None,
    "failpoints": None,
    "starts_per_minute": 30,
    "access_token_minutes": 1440,  # a run may outlast one
}

NOTICES: dict[str, Any] = {"smtp_security": "none", "smtp_from": "alerts@example.com", "smtp_host": "127.0.0.1"}
SECRETS = {f"{PREFIX}VAPID_PRIVATE_KEY": encode(bytes(31) + b"\7"), f"{PREFIX}TELEGRAM_BOT_TOKEN": TOKEN}
"""All ways of being notified are offered; the noise is the mail server, and Telegram a stand-in."""

_GROWN = {
    "strategies": "select count(*) as n from strategies where user_id = %s",
    "kept_answers": "select count(*) as n from kept_answers where user_id = %s",
    "runs": "select count(*) as n from runs where user_id = %s",
    "intents": "select count(*) as n from intents i join runs r on r.id = i.run_id where r.user_id = %s",
    "order_logs": "select count(*) as n from order_logs where user_id = %s",
    "audit_log": "select count(*) as n from audit_log where user_id = %s",
    "audit_log: broker_connect_failed": (
        "select count(*) as n from audit_log where user_id = %s and action = 'broker_connect_failed'"
    ),
    "notifications": "select count(*) as n from notifications where user_id = %s",
    "notification_deliveries": (
        "select count(*) as n from notification_deliveries d"
        " join notifications n on n.id = d.notification_id where n.user_id = %s"
    ),
    "logins": "select count(*) as n from logins where user_id = %s",
    "refresh_tokens": "select count(*) as n from refresh_tokens where user_id = %s",
}


class Sitting:
    """One run on one stack."""

    def __init__(self, deployment: Deployment, noise: NoiseProcess, account: str) -> None:
        """`account`: that of the noisy tenant at the exchange."""
        self._deployment, self._noise, self._account = deployment, noise, account
        rows = deployment.query("select id from users where email = %s", noise.about["email"])
        self._user_id = int(rows[0]["id"])
        self._spells: list[dict[str, Any]] = []
        self._begun: float | None = None

    def prepare(self) -> None:
        """A run with a long timeline, a held position on each symbol, and every route once."""
        for strategy_id in self._noise.about["held"]:
            eventually(partial(self._holds, strategy_id), 60, "the noisy tenant holds a position")
        asyncio.run(_lengthen(self._deployment, self._noise.about["long"]))
        code = asyncio.run(_reset_code(self._deployment, self._noise.about["decoy"]))
        self._toured = counts_of(self._noise.ask(do="tour", code=code))

    def measure(self, seen: Seen, *, beside: bool, stops: int) -> None:
        """One neighbour, alone or beside the noise."""
        self._await_quiet()
        neighbour = Neighbour(self._deployment, beside=beside, stops=stops)
        neighbour.prepare()
        if beside:
            self._begun = self._begun or time.monotonic()
            self._noise.ask(do="go", victim=neighbour.trader.email)
        try:
            seen.phases.append(neighbour.run())
        finally:
            if beside:
                self._spells.append(self._noise.ask(do="rest"))

    def counted(self) -> dict[str, int]:
        """The noisy tenant's rows by table, and his events in Redis."""
        counts = {what: int(self._deployment.query(sql, self._user_id)[0]["n"]) for what, sql in _GROWN.items()}
        return counts | {"events of Redis": int(str(self._deployment.redis.xlen(f"events:{self._user_id}")))}

    def judge(self, seen: Seen, before: dict[str, int]) -> None:
        """What the noise was answered, what it has left, and what the exchange says of its account."""
        self._await_quiet()
        after, spells = self.counted(), self._spells
        answers = added([counts_of(spell) for spell in spells])
        seen.noise, seen.noisy_s = answers, sum(spell["wall_s"] for spell in spells)
        seen.noise_cpu_s = sum(spell["cpu_s"] for spell in spells)
        seen.unserved = unserved(operations(), added([self._toured, answers]))
        seen.strategies = after["strategies"]
        since_s = time.monotonic() - self._begun if self._begun is not None else 0.0
        runs_begun = after["runs"] - before["runs"]
        limits = bounds(self._deployment.settings, seen.noisy_s, since_s, len(HELD), runs_begun)
        seen.grown = grown(before, after, limits)
        seen.wrong += broken_promises(self._deployment, self._account, ended=False)

    def _holds(self, strategy_id: int) -> bool:
        rows = self._deployment.query("select position from runs where strategy_id = %s", strategy_id)
        return any(row["position"] == "bought" for row in rows)

    def _await_quiet(self) -> None:
        """Nothing runs but what the noisy tenant holds."""
        sql = "select count(*) as n from runs where ended_at is null"
        eventually(lambda: int(self._deployment.query(sql)[0]["n"]) <= len(HELD), QUIET_WITHIN_S, "all runs have ended")


async def _lengthen(deployment: Deployment, strategy_id: int) -> None:
    """Give the strategy's ended run a timeline of many exits, as the floods' tests do."""
    from persistence.database.engine import open_database, sessions_of, transaction
    from persistence.database.models.runs import Run
    from tests.integration.api.timeline.long_runs import record_exits

    rows = deployment.query("select id from runs where strategy_id = %s", strategy_id)
    database = open_database(deployment.settings.database_url)
    try:
        sessions = sessions_of(database)
        async with transaction(sessions) as session:
            run = await session.get_one(Run, rows[0]["id"])
        await record_exits(sessions, run, EXITS)
    finally:
        await database.dispose()


async def _reset_code(deployment: Deployment, email: str) -> str:
    """A code of the operator's for a new password."""
    from api.users.tokens import code_hash, new_code
    from persistence.database.engine import open_database, sessions_of, transaction
    from persistence.database.repositories.users import Users

    rows, code = deployment.query("select id from users where email = %s", email), new_code()
    database = open_database(deployment.settings.database_url)
    try:
        async with transaction(sessions_of(database)) as session:
            await Users(session).set_reset_code(rows[0]["id"], code_hash(code), datetime.now(UTC) + timedelta(hours=1))
    finally:
        await database.dispose()
    return code


def run(pairs: int, strategies: int, stops: int, say: partial[None]) -> Seen:
    """Everything; what was seen, also when it was cut short."""
    seen = Seen(datetime.now(UTC), 0, pairs, os.getloadavg(), os.getloadavg(), machine())
    mail_port = free_port()
    with (
        telegram_server() as telegram,
        running_session(SECRETS, **LIMITS, **NOTICES, smtp_port=mail_port, telegram_api=telegram.root) as (
            _,
            deployment,
        ),
    ):
        open_market(deployment)
        accounts = [deployment.exchange.new_account() for _ in range(2)]
        told = {
            "url": deployment.api_url,
            "zone": deployment.settings.timezone,
            "accounts": [_plain(asdict(account)) for account in accounts],
            "held_symbols": HELD,
            "strategies": strategies,
            "mail_port": mail_port,
        }
        with NoiseProcess(told) as noise:
            sitting = Sitting(deployment, noise, accounts[0].user_id)
            try:
                sitting.prepare()
                before = sitting.counted()
                say(f"ready: {before['strategies']} strategies of the noisy tenant")
                for number in range(pairs):
                    for beside in (False, True) if number % 2 else (True, False):
                        sitting.measure(seen, beside=beside, stops=stops)
                    seen.pairs += 1
                    say(f"pair {seen.pairs} of {pairs}")
                sitting.judge(seen, before)
            except (AssertionError, RuntimeError) as error:  # what was measured is worth its report nevertheless
                seen.wrong.append(f"cut short: {error!r}")
    seen.load_after = os.getloadavg()
    return seen


def _plain(account: dict[str, Any]) -> dict[str, Any]:
    return {name: account[name] for name in ("user_id", "api_key", "api_secret", "access_token")}


def main() -> int:
    """Exit code 1 if anything is wrong that does not depend on times, or a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--strategies", type=int, default=STRATEGIES, help="how many the noisy tenant keeps")
    parser.add_argument("--stops", type=int, default=STOPS, help="how many STOPs the neighbour presses each time")
    parser.add_argument("--report", type=Path, help="write the report to this file")
    options = parser.parse_args()
    say = partial(Console().print, highlight=False, markup=False)
    seen = run(options.pairs, options.strategies, options.stops, say)
    if options.report is not None:
        options.report.write_text(report(seen), encoding="utf-8")
    say(summary(seen) if options.report is not None else report(seen) + summary(seen))
    return int(bool(seen.faults()) or not all(target.met for target in seen.targets()))


if __name__ == "__main__":
    sys.exit(main())
