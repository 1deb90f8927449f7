"""What can be seen of a case of the second table: its orders at the exchange, its run's row, and its alerts."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.case_view import CaseView
from tests.chaos.outside_catalogue import Happening, OutsideCase

FALLEN = 785.00


@dataclass(frozen=True)
class Slot:
    """Two shares that a case has to itself."""

    symbol: str
    healthy: str


@dataclass(frozen=True)
class Closing:
    """A minute in which the market is closed, announced at short notice in the operator's calendar file."""

    calendar: Path
    began: datetime
    closes: datetime
    opens: datetime
    ends: datetime

    def open_throughout(self) -> None:
        """No such minute yet."""
        self._write(f"{self.began:%H:%M}-{self.ends:%H:%M}")

    def announce(self) -> None:
        """From now on the calendar has it."""
        self._write(f"{self.began:%H:%M}-{self.closes:%H:%M}, {self.opens:%H:%M}-{self.ends:%H:%M}")

    def _write(self, hours: str) -> None:
        self.calendar.write_text(f'{self.began:%Y-%m-%d} = "{hours}"\n', encoding="utf-8")


@dataclass
class OutsideView(CaseView):
    """A case as it is seen from outside."""

    case: OutsideCase
    slot: Slot

    @property
    def _symbol(self) -> str:
        return self.slot.symbol

    @property
    def _is_delivery(self) -> bool:
        return self.case.happening is Happening.SOLD_OLDER

    def _fall(self) -> None:
        self._set_price(FALLEN)

    def _moves(self) -> list[dict[str, Any]]:
        return self._requests("PUT") + self._requests("DELETE")

    def _failed(self) -> bool:
        return "exit_failed" in self._alerts()

    def _reacted(self) -> bool:
        if self._has_ended() or any(request["transaction_type"] == "SELL" for request in self._requests("POST")):
            return True
        try:
            status = self.strategy.status()
        except (httpx.TransportError, AssertionError):
            return False
        return bool(status["feed"] != "live" or status["status_detail"] or self._alerts())
