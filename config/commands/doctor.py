"""`tradeactors doctor`: everything that an operator can get wrong, looked at from here and from every Ray node."""

import asyncio
import functools
import json
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx

from actors.domain.orders.order_address import Standing, leaving_sentence, standing
from config.commands.base.failures import sentence_about
from config.commands.base.findings import Finding, Level, bad, doubtful, good, judge_room
from config.ray_settings import CLUSTER_SETTINGS, RAY_SETTINGS
from config.settings import Settings
from config.stack.data_directory import LOCK_FILE
from config.values import is_loopback

if TYPE_CHECKING:
    from rich.console import Console

    from actors.runtime.driver.node_probe import NodeReport

CLOCK_WARNS_S, CLOCK_FAILS_S = 0.1, 1.0
"""A timer is as right as the clock it goes by. A second is the least that a stop-loss or a buy time is about."""

_CALENDAR_MARGIN = timedelta(days=30)
_BROKER_TIMEOUT_S = 5.0
_MATTERS = {
    "RAY_timeout_ms_task_wait_for_death_info": "a killed strategy comes back a second later",
    "RAY_core_worker_internal_heartbeat_ms": "a killed strategy comes back later",
    "RAY_AUTH_MODE": "anyone who reaches Ray's ports can run code and trade",
}
_MATTERS_IN_A_CLUSTER = {
    "RAY_health_check_period_ms": "the strategies of a lost node are guarded again later",
    "RAY_health_check_timeout_ms": "the strategies of a lost node are guarded again later",
    "RAY_health_check_failure_threshold": "the strategies of a lost node are guarded again later",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "the node ends itself when the head is away for as long",
}


_OF_STANDING = {Standing.REGISTERED: Level.OK, Standing.OTHER: Level.FAILURE}


def judge_clock(subject: str, offset_s: float, uncertain_s: float) -> Finding:
    """A clock against ours; what the round trip leaves open does not count."""
    beyond, said = max(0.0, abs(offset_s) - uncertain_s), f"{offset_s * 1000:+.0f} ms (±{uncertain_s * 1000:.0f} ms)"
    if beyond > CLOCK_FAILS_S:
        return bad(subject, f"its clock differs from ours by {said}: timers fire wrong by as much. Let NTP set both")
    if beyond > CLOCK_WARNS_S:
        return doubtful(subject, f"its clock differs from ours by {said}. Let NTP set both")
    return good(subject, f"clocks agree: {said}")


def judge_node(report: "NodeReport", ours: tuple[str, str], *, alone: bool = True) -> Iterator[Finding]:
    """A Ray node: its workers' priority, its settings, its versions, its clock. `alone`: it is the only one."""
    subject = f"Ray node {report.address}"
    if report.emptied:
        yield doubtful(
            subject,
            "is being emptied: no actor begins there while another node may have it. When its work is done, "
            f"`tradeactors drain {report.address} --back`",
        )
    if report.fault:
        yield bad(subject, f"runs no task of ours: {report.fault}")
        return
    if report.niceness:
        yield bad(
            subject,
            f"workers run at nice {report.niceness}: on a busy machine a stop-loss takes 300 ms instead of 4. "
            "Set RAY_worker_niceness=0 where `ray start` runs",
        )
    environment = report.environment or {}
    wanted = RAY_SETTINGS if alone else {**RAY_SETTINGS, **CLUSTER_SETTINGS}
    for name, why in (_MATTERS if alone else _MATTERS | _MATTERS_IN_A_CLUSTER).items():
        if environment.get(name) != wanted[name]:
            yield doubtful(subject, f"{name} is {environment.get(name, 'not set')}, not {wanted[name]}: {why}")
    if report.versions != ours:
        theirs = " and ".join(report.versions)
        yield bad(subject, f"has Python and Ray {theirs}, here are {' and '.join(ours)}: install the same")
    yield judge_clock(subject, report.clock_offset_s, report.round_trip_s / 2)


def judge_gateways(reports: Iterable["NodeReport"], registered: Collection[str] | None) -> Iterator[Finding]:
    """Where orders leave from (ruling 8). `registered`: ORDER_ADDRESSES; None where no broker is a real one."""
    gateways = [report for report in reports if report.gateway]
    if not gateways:
        yield bad("order_gateway", "no node has this resource: no order can be placed. Start a node with it")
    for report in gateways:
        subject = f"orders from {report.address}"
        if not report.cpus:
            yield bad(subject, "the node has no CPUs (`--num-cpus`): no actor starts there")
        if not report.source_address:
            yield bad(subject, "has no route to the broker: look at its network")
        elif registered is None:
            yield good(subject, f"leave from {report.source_address}")
        else:
            level = _OF_STANDING.get(standing(registered, report.seen), Level.WARNING)
            yield Finding(subject, level, leaving_sentence(registered, report.seen, report.source_address))


def judge_database_ways(database_url: str, redis_url: str) -> Iterator[Finding]:
    """Whether the ways to PostgreSQL and Redis are encrypted, to a server that is verified, beyond this machine."""
    database = urlsplit(database_url)
    options = parse_qs(database.query)
    hosts = ",".join(options.get("host", [database.hostname or ""])).split(",")
    mode = options.get("sslmode", ["prefer"])[-1]
    if all(_is_here(host) for host in hosts):
        yield good("way to the database", "stays on this machine")
    elif mode == "verify-full":
        yield good("way to the database", "is encrypted, and the server is verified")
    else:
        yield doubtful(
            "way to the database",
            f"sslmode is {mode}: a machine between can read and change everything. Use verify-full with sslrootcert, "
            "unless no other machine reads or writes this network",
        )
    redis = urlsplit(redis_url)
    if redis.scheme == "unix" or _is_here(redis.hostname or ""):
        yield good("way to Redis", "stays on this machine")
    elif redis.scheme == "rediss" and parse_qs(redis.query).get("ssl_cert_reqs", ["required"])[-1] == "required":
        yield good("way to Redis", "is encrypted, and the server is verified")
    else:
        yield doubtful(
            "way to Redis",
            "is not encrypted to a verified server: a machine between can read the password and hold back orders. Use "
            "rediss:// and no ssl_cert_reqs, unless no other machine reads or writes this network",
        )


def judge_keys(sealed_with: Mapping[str, frozenset[str]], at_hand: frozenset[str]) -> Iterator[Finding]:
    """Whether what is stored can be opened. `sealed_with`: the versions of the keys, by what they seal."""
    for what, versions in sealed_with.items():
        if unknown := versions - at_hand:
            said = f"{what} are sealed with {len(unknown)} keys that are not at hand: set them again in ENCRYPTION_KEYS"
            yield bad("encryption keys", f"{said}, or their users must connect again")


def judge_public_address(settings: Settings) -> Finding:
    """Whether a browser gets back here from the broker's login page (row N2; kite.md §6.7)."""
    subject, address = "address for browsers", urlsplit(settings.public_root)
    if address.scheme == "http" and not _is_here(address.hostname or ""):
        sentence = f"PUBLIC_URL {settings.public_url} is not encrypted: others can read what a login brings back"
        if "kite" in settings.brokers:
            return bad(subject, f"{sentence}, and Kite leads browsers back to https only")
        return doubtful(subject, sentence)
    if _is_here(address.hostname or ""):
        sentence = f"{settings.callback_url} is reached by browsers of this machine only: set PUBLIC_URL for others"
        return doubtful(subject, sentence) if "kite" in settings.brokers else good(subject, sentence)
    if "kite" in settings.brokers:
        return good(subject, f"{settings.callback_url} must be the redirect URL of each user's app at Kite")
    return good(subject, f"logins at the broker come back to {settings.callback_url}")


def judge_feed_file(path: Path) -> Finding:
    """Whether the feed can use the operator's credentials; else it takes those of a user."""
    from broker.kite.credentials import UnusableCredentials, credentials_of_file

    try:
        credentials_of_file(path)
    except UnusableCredentials as unusable:
        return doubtful("feed's credentials", f"{path} {unusable}. A user's account serves meanwhile")
    return good("feed's credentials", f"{path} can be used")


def _is_here(host: str) -> bool:
    return host in ("", "localhost") or host.startswith(("/", "@")) or is_loopback(host)


async def examine(settings: Settings, *, send_alert: bool = False) -> list[Finding]:
    """Everything, each part whatever the others found. `send_alert`: send a test to the addresses of alerts."""
    parts: tuple[tuple[str, Callable[[Settings], Awaitable[list[Finding]]]], ...] = (
        ("database", _database),
        ("ways from and to others", _ways),
        ("Redis", _redis),
        ("Ray", _ray),
        ("calendar", _calendar),
        ("brokers", _brokers),
        ("disk", _disk),
        ("alerts", functools.partial(look_at_alerts, send=send_alert)),
    )
    findings: list[Finding] = []
    for subject, look in parts:
        try:
            findings += await look(settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this command is there to report
            findings.append(bad(subject, sentence_about(subject, error)))
    return findings


async def _database(settings: Settings) -> list[Finding]:
    from sqlalchemy import text

    from persistence.database.engine import newest_revision, open_database, sessions_of, transaction
    from persistence.database.repositories.brokers import BrokerAccounts
    from persistence.notifications.channels import Channels
    from persistence.secrets.encryption import SecretBox

    engine = open_database(settings.database_url)
    try:
        async with transaction(sessions_of(engine)) as session:
            begun = time.time()
            theirs = (await session.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one()
            ended = time.time()
            revision = (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
            sealed_with = {
                "broker connections": await BrokerAccounts(session).key_versions(),
                "channels of notices": await Channels(session).key_versions(),
            }
    finally:
        await engine.dispose()
    newest = newest_revision()
    findings = [judge_clock("database", float(theirs) - (begun + ended) / 2, (ended - begun) / 2)]
    findings.append(
        good("database", f"schema {revision}")
        if revision == newest
        else bad("database", f"has schema {revision}, this version needs {newest}: run `tradeactors migrate`")
    )
    return [*findings, *judge_keys(sealed_with, SecretBox.from_settings(settings).versions)]


async def _ways(settings: Settings) -> list[Finding]:
    findings = [*judge_database_ways(settings.database_url, settings.redis_url), judge_public_address(settings)]
    return [*findings, judge_feed_file(file)] if (file := settings.feed_credentials_file) else findings


async def _redis(settings: Settings) -> list[Finding]:
    from persistence.mirror.mirror import open_redis

    client = open_redis(settings.redis_url, timeout_s=2)
    try:
        memory: Any = await client.info("memory")
    finally:
        await client.aclose()
    policy = memory.get("maxmemory_policy", "noeviction")
    if memory.get("maxmemory") and policy != "noeviction":
        return [bad("Redis", f"evicts keys ({policy}): an order lock may vanish. Set maxmemory-policy noeviction")]
    return [good("Redis", "answers, and evicts no keys")]


async def _ray(settings: Settings) -> list[Finding]:
    from actors.runtime.driver import cluster

    await asyncio.to_thread(cluster.connect, settings)
    from actors.runtime.driver.node_probe import own_versions, probe_nodes

    real = "kite" in settings.brokers
    root, echo_url = settings.broker_root("kite" if real else "paper"), settings.address_echo_url if real else ""
    reports = await asyncio.to_thread(probe_nodes, root, echo_url)
    alone, ours = len(reports) == 1, own_versions()
    findings = [finding for report in reports for finding in judge_node(report, ours, alone=alone)]
    return findings + list(judge_gateways(reports, settings.order_addresses if real else None))


async def _disk(settings: Settings) -> list[Finding]:
    there = (settings.data_dir / LOCK_FILE).exists()  # else no embedded part keeps anything there
    return [judge_room(shutil.disk_usage(settings.data_dir).free)] if there else []


async def _calendar(settings: Settings) -> list[Finding]:
    if "XNSE" not in map(settings.calendar_for, settings.brokers):
        return [good("calendar", "always open")]
    from broker.market.override_file import OverrideFile
    from broker.market.overrides import InvalidOverrides
    from broker.market.trading_calendar import NseCalendar

    try:
        overrides = OverrideFile(settings.calendar_overrides) if settings.calendar_overrides else None
    except InvalidOverrides as error:
        return [bad("calendar", f"CALENDAR_OVERRIDES {settings.calendar_overrides}, {why}") for why in error.problems]
    calendar = await asyncio.to_thread(NseCalendar, overrides)
    known_until = calendar.known_until
    if known_until < (datetime.now(settings.zone) + _CALENDAR_MARGIN).date():
        return [doubtful("calendar", f"holidays of NSE are known until {known_until} only: update exchange-calendars")]
    return [good("calendar", f"holidays of NSE are known until {known_until}")]


async def _brokers(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    for broker in settings.brokers:
        root = settings.broker_root(broker)
        try:
            async with httpx.AsyncClient(timeout=_BROKER_TIMEOUT_S, trust_env=False) as client:
                begun = datetime.now(UTC)
                answer = await client.get(root)
                ended = datetime.now(UTC)
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}; look at its address, the network and the name server of this machine"
            findings.append(bad(f"broker {broker}", f"{root} cannot be reached from here: {why}"))
            continue
        findings.append(good(f"broker {broker}", f"{root} answers in {(ended - begun).total_seconds() * 1000:.0f} ms"))
        if "date" in answer.headers:
            # the header has whole seconds, and servers make a new one once a second: the true time is up to two later
            theirs = parsedate_to_datetime(answer.headers["date"]) + timedelta(seconds=1)
            offset = theirs - (begun + (ended - begun) / 2)
            uncertain = 1 + (ended - begun).total_seconds() / 2
            findings.append(judge_clock(f"broker {broker}", offset.total_seconds(), uncertain))
    return findings


async def look_at_alerts(settings: Settings, *, send: bool) -> list[Finding]:
    """The addresses of ALERT_URLS; `send`: whether they take a test, too."""
    import apprise

    if not settings.alert_urls:
        return [doubtful("alerts", "TRADEACTORS_ALERT_URLS is empty: alerts are in the log only")]
    findings = []
    for number, url in enumerate(settings.alert_urls, 1):
        subject, notifier = f"alerts, address {number}", apprise.Apprise()
        if not notifier.add(url.get_secret_value()):
            findings.append(bad(subject, "is not understood: write it as Apprise has it, such as ntfys://host/topic"))
        elif not send:
            findings.append(good(subject, "is understood; `--send-alert` sends a test there"))
        elif await notifier.async_notify(title="TradeActors", body="A test of ALERT_URLS by the doctor"):
            findings.append(good(subject, "has taken a test"))
        else:
            findings.append(bad(subject, "did not take a test: look whether its address, token and service are right"))
    return findings


def run(settings: Settings, console: "Console", *, as_json: bool, send_alert: bool) -> int:
    """Look, tell, and say by the exit code whether anything must be put right."""
    with _quiet_ray():
        findings = asyncio.run(examine(settings, send_alert=send_alert))
    if as_json:
        console.print_json(json.dumps([asdict(finding) for finding in findings]))
    else:
        _show(findings, console)
    return int(any(finding.level is Level.FAILURE for finding in findings))


def _show(findings: list[Finding], console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    colours = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILURE: "red"}
    table = Table("", "What", "Finding")
    for finding in findings:
        mark = f"[{colours[finding.level]}]{finding.level}[/]"
        table.add_row(mark, Text(finding.subject), Text(finding.sentence))
    console.print(table)


@contextmanager
def _quiet_ray() -> Iterator[None]:
    try:
        yield
    finally:
        if "ray" in sys.modules:
            import ray

            ray.shutdown()
