"""When the sign that the engine can trade is kept back, and what CloudWatch reads."""

import pytest

from api.operations.heartbeat import metric_line, reasons_not_to
from api.overview.facts import Facts
from api.readiness.findings import Fault
from api.strategies.schemas import Guard
from tests.unit.config.overview.facts import EXPECTED, NOW, facts, presences, run


def test_an_engine_that_is_well_gives_its_sign_also_with_a_full_disk() -> None:
    assert reasons_not_to(facts([run()]), [Fault("readiness_disk", "Full", blocks=False)]) == []


@pytest.mark.parametrize(
    ("seen", "reasons"),
    [
        (facts(database=None), ["database"]),
        (facts(mirror={"presences": presences("feed:0", "ledger:0")}), ["execution:0"]),
        (facts(mirror={"presences": presences(*EXPECTED, age_s=60)}), list(EXPECTED)),
    ],
)
def test_a_part_that_is_away_keeps_it_back(seen: Facts, reasons: list[str]) -> None:
    assert sorted(reasons_not_to(seen, [])) == sorted(reasons)


def test_without_redis_and_with_a_fault_both_are_named() -> None:
    seen = Facts(at=NOW, database=facts().database, mirror=None, expected=EXPECTED)
    assert reasons_not_to(seen, [Fault("readiness_engine", "Away", blocks=True)]) == ["readiness_engine", "redis"]


def test_cloudwatch_reads_what_is_wrong_as_numbers() -> None:
    line = metric_line(facts([run(1), run(2)], mirror={"guards": {1: Guard(state="exit_failed")}}))
    assert (line["ExitsFailed"], line["PositionsNotGuarded"], line["DatabaseUp"]) == (1, 1, 1.0)


def test_what_is_not_known_is_no_metric() -> None:
    line = metric_line(Facts(at=NOW, database=None, mirror=None))
    assert line.keys() == {"_aws", "DatabaseUp", "RedisUp"}
