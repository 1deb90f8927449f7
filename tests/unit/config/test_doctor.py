"""What `tradeactors doctor` makes of what it sees."""

import io
from pathlib import Path

import pytest
from psycopg.errors import UndefinedTable
from rich.console import Console
from sqlalchemy.exc import ProgrammingError

from actors.domain.orders.order_address import SeenAddress
from actors.runtime.driver.node_probe import NodeReport
from config.commands.base.failures import sentence_about
from config.commands.base.findings import Finding, Level, judge_room
from config.commands.doctor import (
    _show,
    judge_clock,
    judge_database_ways,
    judge_feed_file,
    judge_gateways,
    judge_node,
    judge_public_address,
)
from config.ray_settings import CLUSTER_SETTINGS, RAY_SETTINGS
from config.settings import Broker, Settings
from persistence.errors import DatabaseUnavailable

OURS = ("3.11.7", "2.60.0")
GOOD = {name: value for name, value in RAY_SETTINGS.items() if name.startswith("RAY_")}


def a_node(**changes: object) -> NodeReport:
    values: dict[str, object] = {
        "node_id": "a" * 56,
        "address": "10.0.0.7",
        "gateway": True,
        "environment": GOOD,
        "versions": OURS,
        "round_trip_s": 0.004,
        "source_address": "10.0.0.7",
    }
    return NodeReport(**(values | changes))  # type: ignore[arg-type]


def worst(findings: list[Finding]) -> Level:
    levels = [finding.level for finding in findings]
    return max(levels, key=list(Level).index)


@pytest.mark.parametrize(
    ("offset_s", "uncertain_s", "level"),
    [
        (0.0, 0.01, Level.OK),
        (0.09, 0.0, Level.OK),
        (-0.2, 0.01, Level.WARNING),
        (0.2, 0.15, Level.OK),  # the round trip may account for it
        (1.2, 0.1, Level.FAILURE),
        (-90.0, 0.5, Level.FAILURE),
    ],
)
def test_a_clock_is_judged_beyond_what_the_round_trip_leaves_open(
    offset_s: float, uncertain_s: float, level: Level
) -> None:
    assert judge_clock("database", offset_s, uncertain_s).level is level


def test_a_node_as_we_start_it_is_good() -> None:
    assert worst(list(judge_node(a_node(), OURS))) is Level.OK


def test_workers_at_low_priority_must_be_put_right() -> None:
    found = list(judge_node(a_node(niceness=15), OURS))
    assert any(f.level is Level.FAILURE and "RAY_worker_niceness=0" in f.sentence for f in found)


@pytest.mark.parametrize("name", ["RAY_AUTH_MODE", "RAY_timeout_ms_task_wait_for_death_info"])
def test_a_setting_that_is_missing_is_told_with_what_it_costs(name: str) -> None:
    found = list(judge_node(a_node(environment={**GOOD, name: ""}), OURS))
    assert worst(found) is Level.WARNING
    assert any(f.sentence.startswith(name) for f in found)


def test_what_matters_among_several_nodes_is_asked_of_several_only() -> None:
    assert worst(list(judge_node(a_node(), OURS, alone=True))) is Level.OK
    told = [f.sentence for f in judge_node(a_node(), OURS, alone=False) if f.level is Level.WARNING]
    assert any(sentence.startswith("RAY_gcs_rpc_server_reconnect_timeout_s") for sentence in told)
    assert any(sentence.startswith("RAY_health_check_period_ms") for sentence in told)
    cluster = a_node(environment={**GOOD, **CLUSTER_SETTINGS})
    assert worst(list(judge_node(cluster, OURS, alone=False))) is Level.OK


def test_a_gateway_that_offers_no_cpus_carries_no_execution() -> None:
    found = list(judge_gateways([a_node(cpus=0)], None))
    assert any(f.level is Level.FAILURE and "--num-cpus" in f.sentence for f in found)


def test_other_versions_must_be_put_right() -> None:
    assert worst(list(judge_node(a_node(versions=("3.12.1", "2.60.0")), OURS))) is Level.FAILURE


def test_a_node_that_does_not_answer_must_be_put_right() -> None:
    (finding,) = judge_node(a_node(fault="GetTimeoutError: timed out"), OURS)
    assert (finding.level, "timed out" in finding.sentence) == (Level.FAILURE, True)


def test_a_node_that_is_being_emptied_is_told_with_the_way_back() -> None:
    emptied, _ = judge_node(a_node(emptied=True), OURS)
    assert (emptied.level, "`tradeactors drain 10.0.0.7 --back`" in emptied.sentence) == (Level.WARNING, True)


def test_without_a_gateway_no_order_can_be_placed() -> None:
    (finding,) = judge_gateways([a_node(gateway=False)], ())
    assert finding.level is Level.FAILURE


def test_where_orders_leave_from_is_told_and_for_a_real_broker_to_be_checked_by_hand() -> None:
    (paper,) = judge_gateways([a_node(), a_node(gateway=False)], None)
    (kite,) = judge_gateways([a_node()], ())
    assert (paper.level, kite.level) == (Level.OK, Level.WARNING)
    assert "10.0.0.7" in kite.sentence
    (unreachable,) = judge_gateways([a_node(source_address="")], ())
    assert unreachable.level is Level.FAILURE


@pytest.mark.parametrize(
    ("seen", "level", "says"),
    [
        (SeenAddress("10.0.0.7", "3.7.0.9"), Level.OK, ("3.7.0.9",)),
        (SeenAddress("10.0.0.7", "3.7.0.10"), Level.FAILURE, ("3.7.0.10", "3.7.0.9", "set ORDER_ADDRESSES")),
        (SeenAddress("10.0.0.7", unknown="set ADDRESS_ECHO_URL"), Level.WARNING, ("not known", "set ADDRESS_ECHO_URL")),
    ],
)
def test_with_a_list_of_addresses_the_one_that_orders_leave_from_is_compared(
    seen: SeenAddress, level: Level, says: tuple[str, ...]
) -> None:
    (finding,) = judge_gateways([a_node(seen=seen)], ("3.7.0.9",))
    assert finding.level is level
    assert all(part in finding.sentence for part in says)
    (paper,) = judge_gateways([a_node(seen=seen)], None)
    assert paper.level is Level.OK


def test_without_a_list_the_address_that_the_echo_has_seen_is_said() -> None:
    (finding,) = judge_gateways([a_node(seen=SeenAddress("10.0.0.7", "3.7.0.9"))], ())
    assert (finding.level, "3.7.0.9" in finding.sentence) == (Level.WARNING, True)


DATABASE = "postgresql+psycopg://ta:hush"
VERIFIED = f"{DATABASE}@db:5432/ta?sslmode=verify-full&sslrootcert=/etc/ca.crt"
HERE = f"{DATABASE}@127.0.0.1:5432/ta"


@pytest.mark.parametrize(
    ("database_url", "redis_url", "levels"),
    [
        (HERE, "redis://:hush@localhost:6379/0", [Level.OK, Level.OK]),
        ("postgresql+psycopg://postgres@/ta?host=/tmp/pg", "unix://default:hush@/tmp/valkey.sock", [Level.OK] * 2),
        (VERIFIED, "rediss://default:hush@redis:6379/0?ssl_ca_certs=/etc/ca.crt", [Level.OK, Level.OK]),
        (f"{DATABASE}@db:5432/ta", "redis://:hush@redis:6379/0", [Level.WARNING, Level.WARNING]),
        (f"{DATABASE}@db/ta?sslmode=require", "rediss://redis/0?ssl_cert_reqs=none", [Level.WARNING, Level.WARNING]),
        (f"{DATABASE}@/ta?host=/tmp,db2", "rediss://redis/0", [Level.WARNING, Level.OK]),
    ],
)
def test_a_way_to_a_database_that_others_could_read_or_imitate_is_said(
    database_url: str, redis_url: str, levels: list[Level]
) -> None:
    found = list(judge_database_ways(database_url, redis_url))
    assert [finding.level for finding in found] == levels
    assert "hush" not in str(found)


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (5_000_000_000, Level.OK),
        (1_000_000_000, Level.OK),
        (999_999_999, Level.WARNING),
        (200_000_000, Level.WARNING),
        (199_999_999, Level.FAILURE),
        (0, Level.FAILURE),
    ],
)
def test_a_disk_that_fills_up_is_told_before_the_database_ends(free: int, level: Level) -> None:
    assert judge_room(free).level is level


@pytest.mark.parametrize(
    ("public_url", "broker", "level"),
    [
        ("https://trade.example", "kite", Level.OK),
        ("http://trade.example", "kite", Level.FAILURE),  # Kite takes no such redirect URL
        ("", "kite", Level.WARNING),
        ("http://127.0.0.1:8000", "kite", Level.WARNING),
        ("", "paper", Level.OK),
        ("http://trade.example", "paper", Level.WARNING),
        ("https://trade.example/api", "paper", Level.OK),
    ],
)
def test_where_kite_is_offered_browsers_must_come_back_over_https(
    public_url: str, broker: Broker, level: Level
) -> None:
    found = judge_public_address(Settings(_env_file=None, public_url=public_url, brokers=(broker,)))
    assert found.level is level
    if level is Level.OK and public_url:
        assert f"{public_url}/broker/callback" in found.sentence


def test_an_address_in_brackets_is_shown_and_taken_for_no_style() -> None:
    written = io.StringIO()
    findings = [Finding("brokers", Level.FAILURE, "http://[fd00::7]:8085 cannot be reached: [/tmp/x] [red]")]
    _show(findings, Console(file=written, width=160))
    assert "http://[fd00::7]:8085 cannot be reached: [/tmp/x] [red]" in written.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"api_key": "own", "access_token": "of today\\n"}', "can be used"),
        ('\ufeff{"api_key": "own", "access_token": "today"}', "can be used"),
        ('{"api_key": "own", "access_token": null}', "is not UTF-8 of the form"),
        ('{"api_key": "own", "access_token": ""}', "has an empty api_key or access_token"),
        ("api_key=own", "is not UTF-8 of the form"),
        ("[" * 100_000, "is not UTF-8 of the form"),
        (None, "cannot be read: No such file or directory; correct the path"),
    ],
)
def test_a_file_of_credentials_that_the_feed_cannot_use_is_said(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "feed.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    found = judge_feed_file(file)
    assert f"{file} {said}" in found.sentence
    assert (found.level is Level.OK) is (said == "can be used")


@pytest.mark.parametrize(
    ("part", "error", "said"),
    [
        (
            "database",
            DatabaseUnavailable("PostgreSQL does not answer"),
            "PostgreSQL does not answer; start it, or correct TRADEACTORS_DATABASE_URL",
        ),
        ("Redis", ConnectionError("WRONGPASS no such user."), "ConnectionError: WRONGPASS no such user; start it, or"),
        ("calendar", KeyError(), "KeyError; look into the log of the API"),
        (
            "database",
            ProgrammingError("SELECT 1", {}, UndefinedTable("no alembic_version")),
            "The database has another schema than this version of TradeActors: run `tradeactors migrate`",
        ),
    ],
    ids=str,
)
def test_a_part_that_does_not_answer_is_said_with_what_to_do(part: str, error: Exception, said: str) -> None:
    assert sentence_about(part, error).startswith(said)
