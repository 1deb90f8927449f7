"""Alerts to a ledger that is being started again, or waits for its database: none is lost, and no end comes first."""

import asyncio
from typing import Any

import pytest

from actors.ports.common import PeerUnavailable
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.runtime.ray_ports import RayAlerts
from tests.kit.virtual_time import in_virtual_time, passing, until


class Ledger(Peers):
    """`Peers` with one ledger. `up`: it is there; `answers`: it has its database."""

    def __init__(self, *, up: bool = True, answers: bool = True) -> None:
        super().__init__()
        self.up, self.answers = up, asyncio.Event()
        if answers:
            self.answers.set()
        self.heard: list[str] = []
        self.fault: Exception | None = None

    async def call(self, name: str, method: str, *arguments: Any, title: str = "") -> None:
        assert name == "ledger:0"
        if not self.up:
            raise PeerUnavailable("it is being started again")
        _, strategy_id, codes, *_ = arguments
        self.heard.append(f"{method} {codes if method == 'alert' else ','.join(codes)} of {strategy_id}")
        await self.answers.wait()
        if self.fault is not None:
            raise self.fault


def alerts_to(ledger: Ledger) -> RayAlerts:
    return RayAlerts(ledger, Pools())


@in_virtual_time
async def test_a_ledger_that_is_started_again_hears_what_came_meanwhile_with_its_end_after_it() -> None:
    ledger = Ledger(up=False)
    alerts = alerts_to(ledger)
    alerts.alert(1, 5, "shares_missing", "Of 10 shares 6 are left")
    alerts.alert_over(1, 5, ["shares_missing"])
    alerts.alert(1, 5, "shares_missing", "Of 10 shares 5 are left")
    await passing(10)
    assert not ledger.heard
    ledger.up = True
    await until(lambda: len(ledger.heard) == 3, within_s=5)
    missing = "alert shares_missing of 5"
    assert ledger.heard == [missing, "alert_over shares_missing of 5", missing]
    await passing(10)
    assert len(ledger.heard) == 3, "each once"


@in_virtual_time
async def test_one_that_waits_for_its_database_hears_of_other_troubles_at_once_and_of_an_end_later() -> None:
    ledger = Ledger(answers=False)
    alerts = alerts_to(ledger)
    alerts.alert(1, 5, "account_unreadable", "No answer")
    alerts.alert(1, 5, "shares_missing", "Of 10 shares 6 are left")
    alerts.alert_over(1, 5, ["account_unreadable"])
    alerts.alert(2, 6, "duplicate_order", "Two orders", "run:6")
    await passing(5)
    at_once = ["alert account_unreadable of 5", "alert shares_missing of 5", "alert duplicate_order of 6"]
    assert ledger.heard == at_once
    ledger.answers.set()
    await until(lambda: ledger.heard == [*at_once, "alert_over account_unreadable of 5"], within_s=5)


def test_what_a_ledger_cannot_take_is_in_the_log_and_what_waits_for_one_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @in_virtual_time
    async def scenario() -> None:
        ledger = Ledger(up=False)
        alerts = alerts_to(ledger)
        alerts.alert(1, 5, "shares_missing", "Of 10 shares 6 are left")
        await passing(10)
        assert alerts.unheard == 1
        assert [record.levelname for record in caplog.records] == ["WARNING"], "once"
        ledger.up, ledger.fault = True, ValueError("no such code")
        await passing(5)
        assert alerts.unheard == 0

    scenario()
    assert "an alert of strategy:5 of user 1 is lost" in caplog.text
