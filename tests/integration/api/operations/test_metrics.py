"""`GET /metrics`: what the actors counted comes from a real Redis, what is held from a real PostgreSQL."""

import re

import httpx

from actors.runtime.clients.ledger_figures import LedgerFigures
from config import metric_names
from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Run
from persistence.mirror.fields import runtime_fields
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import new_run

pytest_plugins = ["tests.integration.fixtures"]


def value(text: str, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    assert found is not None, sample
    return float(found[1])


async def test_a_scrape_has_what_a_ledger_counted_and_a_position_that_is_not_guarded(
    client: httpx.AsyncClient, sessions: Sessions, mirror: RuntimeMirror
) -> None:
    run = await new_run(sessions, symbol="SCRAPED")
    async with transaction(sessions) as session:
        held = await session.get_one(Run, run.id)
        held.position, held.filled_quantity, held.epoch = "bought", 10, 1
    await mirror.put_run(held.strategy_id, "SCRAPED", {"symbol": "SCRAPED"}, runtime_fields(held, "SCRAPED"))
    figures = LedgerFigures(unmirrored=lambda: 0)
    figures.alerted("exit_failed")
    with figures.recording():
        pass
    await mirror.put_presence("ledger:scraped", "10.0.0.9", 7, "node", 1_000_000, figures.figures.as_rows())

    text = (await client.get("/metrics")).text
    assert value(text, 'tradeactors_alerts_total{code="exit_failed",process="ledger:scraped"}') == 1
    assert value(text, 'tradeactors_ledger_records_total{outcome="recorded",process="ledger:scraped"}') == 1
    assert value(text, 'tradeactors_process_resident_bytes{process="ledger:scraped"}') == 1_000_000
    assert value(text, 'tradeactors_positions{guard="not"}') >= 1
    assert value(text, "tradeactors_unguarded_seconds") > 0
    assert value(text, 'tradeactors_part_up{part="database"}') == 1
    declared = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    for metric in metric_names.ALL:
        assert {metric.name, *metric.samples} & declared, metric.name
    await mirror.forget_presence("ledger:scraped")
    async with transaction(sessions) as session:
        (await session.get_one(Run, run.id)).ended_at = held.updated_at
