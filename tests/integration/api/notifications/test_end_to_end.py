"""From the fact to the trader's devices: what a strategy does, or a panic, is recorded by the real ledger and comes by
mail, push and Telegram, once (rows N1, N8)."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from sqlalchemy import update
from sqlmodel import col

from actors.domain.identifiers import IntentId, Leg
from actors.domain.notices.texts import clock
from actors.domain.strategy.decisions import EndRun, LogEvent
from actors.domain.strategy.events import (
    Event,
    IntentArmed,
    OrderReported,
    RunRecovered,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.snapshot import load_state
from actors.ports.common import StaleEpoch
from actors.ports.strategy import JournalEntry, LoggedEvent
from api.notifications.sending.addresses import hash_of, seal
from api.notifications.sending.outcomes import Address, Way
from api.notifications.sending.sender import Sender
from api.notifications.telegram.bot_api import BotApi
from api.notifications.telegram.way import TelegramWay
from broker.exchange_time import IST
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Run
from persistence.database.repositories.notifications import Notifications
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from persistence.notifications.channels import Channels
from tests.integration.api.notifications.test_sender import BOX, mailer, own, pusher
from tests.integration.api_user import ApiUser
from tests.integration.apps import at, serving
from tests.integration.rows import new_run
from tests.kit.builders import a_report, a_tick
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.ledgers import LedgerOfTest
from tests.kit.mail_server import MailServer, mail_server
from tests.kit.push_service import Browser, PushService, push_service
from tests.kit.telegram import TOKEN, TelegramServer, telegram_server

if TYPE_CHECKING:
    from actors.domain.strategy.state import StrategyState

__all__ = ["own"]
pytest_plugins = ["tests.integration.fixtures"]

CHAT = 8_002


@dataclass
class Devices:
    """A trader's, at three real servers, and the sender that serves them."""

    mails: MailServer
    pushes: PushService
    telegram: TelegramServer
    browser: Browser
    sender: Sender

    @property
    def heard(self) -> dict[str, list[str]]:
        """The texts that came, by channel."""
        return {
            "mail": [self.mails.text(number).strip() for number in range(len(self.mails.mails))],
            "push": [self.browser.read(body)["body"] for _, _, body in self.pushes.got],
            "telegram": self.telegram.sent(CHAT),
        }

    async def subscribe(self, sessions: Sessions, user_id: int) -> None:
        """Have the user's notices come here at any hour, with amounts."""
        addresses = {
            "email": Address("asha@example.com", {}),
            "webpush": Address(self.pushes.endpoint, self.browser.keys),
            "telegram": Address(str(CHAT), {}),
        }
        async with transaction(sessions) as session:
            await Notifications(session).set_preferences(user_id, None, {}, amounts=True)
            for kind, address in addresses.items():
                sealed = seal(BOX, user_id, address)
                values = {
                    "kind": kind, "hint": "x", "address_box": sealed.box, "key_version": sealed.key_version,
                    "address_hash": hash_of(address.value), "state": "active", "verified_at": datetime.now(UTC),
                }  # fmt: skip
                await Channels(session).put(user_id, values)


@pytest.fixture
async def devices(own: Sessions, tmp_path: Path) -> AsyncIterator[Devices]:
    with mail_server() as mails, push_service(tmp_path) as pushes, telegram_server() as telegram:
        telegram.write(CHAT, "hello")
        bot, push = BotApi(SecretStr(TOKEN), telegram.root), pusher(pushes)
        ways: dict[str, Way] = {"email": mailer(mails), "webpush": push, "telegram": TelegramWay(bot)}
        sender = Sender(own, BOX, ways, IST, bundled_within=timedelta(0))
        yield Devices(mails, pushes, telegram, Browser(), sender)
        await push.aclose()
        await bot.aclose()


async def run_of_this_hour(sessions: Sessions) -> Run:
    """A run that buys within the last hour: what is older than a day is not sent."""
    run = await new_run(sessions)
    run.buy_at = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=40)
    run.sell_at = run.buy_at + timedelta(minutes=30)
    async with transaction(sessions) as session:
        times = {"buy_at": run.buy_at, "sell_at": run.sell_at}
        await session.execute(update(Run).where(col(Run.id) == run.id).values(times))
    return run


class Course:
    """A run whose events the state machine takes, and whose steps the ledger records."""

    def __init__(self, ledger: LedgerOfTest, run: Run) -> None:
        self._ledger, self._run = ledger, run
        self._state: StrategyState | None = None
        self._epoch = 0

    async def happens(self, event: Event, at: datetime) -> None:
        """Take the event, and record the step as often as a ledger does whose answer was lost."""
        if self._state is None:
            loaded = await self._ledger.load(self._run.id)
            assert loaded is not None
            self._state, self._epoch = load_state(loaded.run, loaded.snapshot), loaded.epoch
        self._state, decisions = step(self._state, event, at)
        lines = tuple(LoggedEvent(at, decision) for decision in decisions if isinstance(decision, LogEvent))
        ended = any(isinstance(decision, EndRun) for decision in decisions)
        for _ in range(2):
            await self._ledger.record(JournalEntry(self._state, self._epoch, at, lines, ended=ended))

    async def orders(self) -> None:
        """The BUY leaves at its time."""
        buy_at = self._run.buy_at
        await self.happens(RunRecovered(first=True), buy_at - timedelta(seconds=30))
        await self.happens(TimerFired(Timer.BUY, buy_at), buy_at)

    async def buys(self) -> None:
        """Ten shares at 1500 rupees are bought."""
        bought_at = self._run.buy_at + timedelta(milliseconds=200)
        await self.happens(OrderReported(self._intent(Leg.ENTRY), a_report(at=bought_at)), bought_at)
        await self.happens(IntentArmed(self._intent(Leg.EXIT)), bought_at)

    async def sells(self, price: str, at: datetime) -> None:
        """The exit that was decided is filled."""
        await self.happens(OrderReported(self._intent(Leg.EXIT), a_report("29", price=price, at=at)), at)

    def _intent(self, leg: Leg) -> IntentId:
        return IntentId(self._run.id, leg, 1)


@pytest.mark.parametrize("stopped", [False, True], ids=["sell", "stop-loss"])
async def test_a_purchase_and_a_sale_come_on_all_devices_once(
    own: Sessions, mirror: RuntimeMirror, devices: Devices, stopped: bool
) -> None:
    run = await run_of_this_hour(own)
    await devices.subscribe(own, run.user_id)
    course = Course(LedgerOfTest(RunLedger(own, mirror), mirror), run)
    await course.orders()
    await course.buys()
    for _ in range(2):
        await devices.sender.step()
    buys, sells = clock(run.buy_at, IST), clock(run.sell_at, IST)
    bought = f"Bought 10 INFY at ₹1,500.00 ({buys}). Stop-loss ₹1,490.50. Sells {sells}."
    assert devices.heard == {name: [bought] for name in ("mail", "push", "telegram")}
    if stopped:
        touched_at = run.buy_at + timedelta(minutes=10)
        await course.happens(TickReceived(a_tick(149_000, touched_at)), touched_at)
        await course.sells("1490.00", touched_at + timedelta(milliseconds=50))
        sold = "Stop-loss: sold 10 INFY at ₹1,490.00. −₹100.00 before charges. The stop-loss was ₹1,490.50."
    else:
        await course.happens(TimerFired(Timer.SELL, run.sell_at), run.sell_at)
        await course.sells("1510.00", run.sell_at + timedelta(milliseconds=50))
        sold = "Sold 10 INFY at ₹1,510.00. +₹100.00 before charges."
    for _ in range(2):
        await devices.sender.step()
    assert devices.heard == {name: [bought, sold] for name in ("mail", "push", "telegram")}


async def test_a_purchase_that_a_superseded_actor_cannot_record_is_told_to_nobody(
    own: Sessions, mirror: RuntimeMirror, devices: Devices
) -> None:
    run = await run_of_this_hour(own)
    await devices.subscribe(own, run.user_id)
    older, newer = (LedgerOfTest(RunLedger(own, mirror), mirror) for _ in range(2))
    course = Course(older, run)
    await course.orders()
    assert await newer.load(run.id) is not None
    with pytest.raises(StaleEpoch):
        await course.buys()
    await devices.sender.step()
    assert devices.heard == {"mail": [], "push": [], "telegram": []}


async def test_a_panic_over_rest_comes_by_mail_when_it_is_called_and_when_all_is_flat(
    settings: Settings, engine: FakeEngine, trader: ApiUser
) -> None:
    engine.shares = {("NSE", "INFY", "CNC"): 20}
    with mail_server() as mails:
        mail = {"smtp_host": "127.0.0.1", "smtp_port": mails.port, "smtp_security": "none"}
        async with serving(settings, engine, **mail, smtp_from="alerts@example.com") as api:
            user = at(trader, api)
            added = await user.call("POST", "/notifications/channels", kind="email", address=user.email)
            assert added.status_code == 201, added.text
            code = re.search(r"\d{8}", mails.text())
            assert code is not None
            verify = f"/notifications/channels/{added.json()['channel_id']}/verify"
            assert (await user.call("POST", verify, code=code[0])).status_code == 200
            await user.started(symbol="INFY")
            assert (await user.call("POST", "/panic")).status_code == 202
            async with asyncio.timeout(30):
                while len(_of_panic(mails)) < 2:  # noqa: ASYNC110 - a mail server notifies no test
                    await asyncio.sleep(0.05)
            assert (await user.call("POST", "/panic")).status_code == 202, "pressed again, it says nothing twice"
        called, done = _of_panic(mails)
    assert called.startswith("PANIC: nothing more is bought, 1 strategy is being ended")
    assert done == "PANIC is done. All is flat. Not touched: 20 INFY of your own."


def _of_panic(mails: MailServer) -> list[str]:
    texts = [mails.text(number).strip() for number in range(len(mails.mails))]
    return [text for text in texts if text.startswith("PANIC")]
