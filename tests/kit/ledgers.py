"""The ledger actor in the test's own process, on the real PostgreSQL and Valkey."""

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

import apprise

from actors.domain.session import LateExit
from actors.runtime.clients.ledger_figures import LedgerFigures
from actors.runtime.hosts.ledger import Ledger
from persistence.journal.alert_notices import AlertNotices
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror


class LedgerOfTest(Ledger):
    """The ledger without the process that it tunes and the settings that it reads."""

    def __init__(self, ledger: RunLedger, mirror: RuntimeMirror) -> None:
        self._ledger, self._mirror = ledger, mirror
        self._zone = ZoneInfo("Asia/Kolkata")
        self._late_exit, self._missed_grace = LateExit.SELL, timedelta(seconds=5)
        self._unmirrored, self._repair = {}, None
        self._figures = LedgerFigures(unmirrored=lambda: len(self._unmirrored))
        self._notifier = apprise.Apprise()
        self._alerts, self._notifying = AlertNotices(ledger._sessions, self._zone), asyncio.Lock()
