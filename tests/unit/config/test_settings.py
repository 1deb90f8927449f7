import base64
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actors import failpoints
from config.secret_store import SECRETS_FILE, create_secrets, read_secrets
from config.settings import PREFIX, Settings, SettingsError, load_settings
from config.stack.stack import Stack

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
OTHER_KEY = base64.urlsafe_b64encode(b"o" * 32).decode()
JWT_SECRET = "j" * 32
EXTERNAL = "postgresql+psycopg://trader:pg-password@db.example/trading"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADEACTORS_DATA_DIR", str(tmp_path / "data"))


def load(**overrides: Any) -> Settings:
    return load_settings(secrets="optional", **overrides)


def problems_of(**overrides: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        load(**overrides)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return raised.value.problems


def test_the_defaults_are_those_of_the_design() -> None:
    settings = load()

    assert (settings.database_url, settings.redis_url, settings.ray_address) == ("", "", "")
    assert settings.kite_root == "https://api.kite.trade"
    assert settings.kite_ws_root == "wss://ws.kite.trade"
    assert settings.brokers == ("paper",)
    assert (settings.api_host, settings.api_port) == ("127.0.0.1", 8000)
    assert (settings.paper_port, settings.dashboard_port) == (8085, 8265)
    assert (settings.order_rate_per_second, settings.order_retries) == (10, 3)
    assert (settings.orders_per_minute, settings.orders_per_day, settings.order_reserve_for_exits) == (400, 5000, 2)
    assert settings.failpoints is None
    assert settings.order_timeout_s == (0.5, 3.0)
    assert (settings.missed_grace_s, settings.late_exit, settings.market_protection) == (5.0, "sell", -1)
    assert settings.zone.key == "Asia/Kolkata"
    assert settings.log_format == "json"


def test_the_data_directory_is_in_the_home_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEACTORS_DATA_DIR")

    assert load().data_dir == Path.home() / ".local/share/tradeactors"


def test_a_dotenv_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("TRADEACTORS_API_PORT=9000\nTRADEACTORS_PAPER_PORT=9001\nOTHER_TOOL=1\n")
    monkeypatch.setenv("TRADEACTORS_API_PORT", "9002")

    settings = load()

    assert (settings.api_port, settings.paper_port) == (9002, 9001)


def test_overrides_win_over_the_environment_and_none_means_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEACTORS_API_PORT", "9002")

    settings = load(api_port=9003, paper_port=None)

    assert (settings.api_port, settings.paper_port) == (9003, 8085)


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEACTORS_API_PORT", "")

    assert load().api_port == 8000


@pytest.mark.parametrize("where", ["environment", "dotenv"])
def test_an_unknown_variable_stops_the_start_and_the_nearest_is_named(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "environment":
        monkeypatch.setenv("TRADEACTORS_API_PROT", "9000")
    else:
        Path(".env").write_text("TRADEACTORS_API_PROT=9000\n")

    assert problems_of() == ("TRADEACTORS_API_PROT is not a setting; did you mean TRADEACTORS_API_PORT?",)


def test_every_problem_is_reported_at_once_and_no_value_is_echoed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEACTORS_API_PORT", "eight-thousand")
    monkeypatch.setenv("TRADEACTORS_JWT_SECRET", "tiny-secret")
    monkeypatch.setenv("TRADEACTORS_ENCRYPTION_KEYS", f"{KEY},hush-hush")
    monkeypatch.setenv("TRADEACTORS_DATABASE_URL", "postgres://user:pg-password@host/db")
    monkeypatch.setenv("TRADEACTORS_NONSENSE", "hush-hush")

    problems = problems_of()

    assert [problem.split()[0].removeprefix(PREFIX) for problem in problems] == [
        "NONSENSE",
        "API_PORT",
        "DATABASE_URL",
        "JWT_SECRET",
        "ENCRYPTION_KEYS",
    ]
    assert all(problem.endswith(".") for problem in problems)
    assert not any(secret in "\n".join(problems) for secret in ("tiny", "hush", "pg-password", KEY, "eight"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://127.0.0.1"),
        ("BROKERS", "kite,zerodha"),
        ("BROKERS", ","),
        ("KITE_ROOT", "api.kite.trade"),
        ("PAPER_WS_ROOT", "http://127.0.0.1"),
        ("TIMEZONE", "Asia/Kalkutta"),
        ("CALENDAR", "NYSE"),
        ("MARKET_PROTECTION", "0"),
        ("ORDER_TIMEOUT_S", "0.5"),
        ("ORDER_TIMEOUT_S", "0,3"),
        ("LATE_EXIT", "later"),
        ("ORDERS_PER_MINUTE", "0"),
        ("ORDERS_PER_DAY", "0"),
        ("ORDER_RESERVE_FOR_EXITS", "-1"),
        ("ENCRYPTION_KEYS", base64.urlsafe_b64encode(b"short").decode()),
    ],
)
def test_an_invalid_value_is_refused_by_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + name, value)

    (problem, *_) = problems_of()

    assert problem.startswith(f"{PREFIX}{name} ")


def test_the_feed_credentials_belong_together_and_the_feed_broker_must_be_allowed() -> None:
    assert problems_of(feed_api_key="key") == (
        "TRADEACTORS_FEED_API_KEY and TRADEACTORS_FEED_ACCESS_TOKEN must be set together.",
    )
    assert problems_of(feed_broker="kite") == ("TRADEACTORS_FEED_BROKER must be one of TRADEACTORS_BROKERS.",)
    assert problems_of(feed_api_key="key", feed_access_token="token", feed_credentials_file="feed.json") == (
        "TRADEACTORS_FEED_CREDENTIALS_FILE stands in place of TRADEACTORS_FEED_API_KEY; set one of them.",
    )


@pytest.mark.parametrize("brokers", ["kite,paper", "paper,kite"])
def test_paper_prices_never_decide_about_positions_at_kite(brokers: str) -> None:
    assert problems_of(brokers=brokers, feed_broker="paper") == (
        (
            "TRADEACTORS_FEED_BROKER must not be paper where TRADEACTORS_BROKERS has kite: "
            "invented prices would decide about real positions."
        ),
    )
    assert load(brokers=brokers).feed_source == "kite"
    assert load(brokers="paper").feed_source == "paper"


def test_exits_are_kept_less_than_all_of_the_order_rate() -> None:
    assert load(order_rate_per_second=3).order_reserve_for_exits == 2
    assert load(order_rate_per_second=1, order_reserve_for_exits=0).order_reserve_for_exits == 0
    assert problems_of(order_rate_per_second=2) == (
        "TRADEACTORS_ORDER_RESERVE_FOR_EXITS must be below TRADEACTORS_ORDER_RATE_PER_SECOND.",
    )


@pytest.mark.parametrize("brokers", ["kite", "kite,paper", "paper,kite"])
def test_failpoints_are_refused_where_real_orders_can_go_out(
    brokers: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRADEACTORS_FAILPOINTS", str(tmp_path))

    assert load(brokers="paper").failpoints == tmp_path
    assert problems_of(brokers=brokers) == (
        "TRADEACTORS_FAILPOINTS kills processes on purpose: only where TRADEACTORS_BROKERS is paper.",
    )


@pytest.mark.parametrize("where", ["environment", "dotenv", "override"])
def test_processes_that_are_started_find_the_failpoints_where_they_look_for_them(
    where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if where == "environment":
        monkeypatch.setenv(failpoints.VARIABLE, str(tmp_path))
    elif where == "dotenv":
        Path(".env").write_text(f"{failpoints.VARIABLE}={tmp_path}\n")
    settings = load(failpoints=tmp_path if where == "override" else None)

    assert Stack(settings, parts=()).environment[failpoints.VARIABLE] == str(tmp_path)


def test_without_failpoints_no_started_process_is_told_of_any() -> None:
    assert failpoints.VARIABLE not in Stack(load(), parts=()).environment


def test_secrets_do_not_show_in_the_representation() -> None:
    settings = load(database_url=EXTERNAL, jwt_secret=JWT_SECRET, encryption_keys=(KEY,), alert_urls="tgram://hush")

    assert not any(secret in repr(settings) for secret in ("pg-password", JWT_SECRET, KEY, "hush"))


def test_addresses_and_calendars_by_broker() -> None:
    embedded = load(brokers="kite,paper", paper_port=9001)
    external = load(paper_root="https://paper.example/", calendar="XNSE")

    assert embedded.paper_embedded
    assert embedded.broker_root("kite") == "https://api.kite.trade"
    assert embedded.broker_ws_root("kite") == "wss://ws.kite.trade"
    assert embedded.broker_root("paper") == "http://127.0.0.1:9001"
    assert embedded.broker_ws_root("paper").startswith("ws://127.0.0.1:9001")
    assert (embedded.calendar_for("kite"), embedded.calendar_for("paper")) == ("XNSE", "24x7")
    assert embedded.feed_source == "kite"
    assert not external.paper_embedded
    assert external.broker_root("paper") == "https://paper.example"
    assert external.broker_ws_root("paper").startswith("wss://paper.example")
    assert external.calendar_for("paper") == "XNSE"


def test_without_paper_among_the_brokers_no_paper_exchange_is_embedded() -> None:
    assert not load(brokers="kite").paper_embedded


def test_an_external_database_requires_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEACTORS_DATABASE_URL", EXTERNAL)

    with pytest.raises(SettingsError) as raised:
        load_settings(secrets="create")

    assert [problem.split()[0] for problem in raised.value.problems] == [
        "TRADEACTORS_JWT_SECRET",
        "TRADEACTORS_ENCRYPTION_KEYS",
    ]


def test_given_secrets_are_used_and_the_first_key_stays_first() -> None:
    settings = load_settings(database_url=EXTERNAL, jwt_secret=JWT_SECRET, encryption_keys=f"{KEY}, {OTHER_KEY}")

    assert settings.jwt_secret.get_secret_value() == JWT_SECRET
    assert [key.get_secret_value() for key in settings.encryption_keys] == [KEY, OTHER_KEY]


def test_generated_secrets_are_private_valid_and_stable(tmp_path: Path) -> None:
    first = load_settings(secrets="create")
    second = load_settings()

    assert first.jwt_secret == second.jwt_secret
    assert first.encryption_keys == second.encryption_keys
    assert len(first.jwt_secret.get_secret_value()) >= 32
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / SECRETS_FILE).stat().st_mode) == 0o600
    assert load(jwt_secret=JWT_SECRET).jwt_secret.get_secret_value() == JWT_SECRET


def test_secrets_are_required_before_a_stack_has_made_them() -> None:
    with pytest.raises(SettingsError):
        load_settings()

    assert not load().jwt_secret.get_secret_value()


def test_a_redis_address_with_a_user_only_gets_the_kept_password(tmp_path: Path) -> None:
    password = create_secrets(tmp_path / "data").redis_password

    assert load(redis_url="redis://default@127.0.0.1:7000/0").redis_url == (
        f"redis://default:{password}@127.0.0.1:7000/0"
    )
    assert load(redis_url="unix://default@/tmp/ta-vk/valkey.sock").redis_url == (
        f"unix://default:{password}@/tmp/ta-vk/valkey.sock"
    )
    assert load(redis_url="redis://127.0.0.1:7000/0").redis_url == "redis://127.0.0.1:7000/0"
    assert load(redis_url="redis://:own@127.0.0.1/0").redis_url == "redis://:own@127.0.0.1/0"


def test_a_damaged_secrets_file_stops_the_start_and_is_kept(tmp_path: Path) -> None:
    create_secrets(tmp_path / "data")
    (tmp_path / "data" / SECRETS_FILE).write_text("{")

    with pytest.raises(SettingsError, match="damaged"):
        load_settings(secrets="create")

    assert (tmp_path / "data" / SECRETS_FILE).read_text() == "{"


@pytest.mark.parametrize(
    ("brokers", "api_docs", "served"),
    [("paper", None, True), ("kite", None, False), ("paper,kite", None, False), ("kite", True, True)],
)
def test_the_api_describes_itself_where_no_real_orders_go_out_unless_it_is_set(
    brokers: str, api_docs: bool | None, served: bool
) -> None:
    assert load(brokers=brokers, api_docs=api_docs).docs_served is served


@pytest.mark.parametrize(
    ("brokers", "paper_token", "wanted"),
    [("paper", None, False), ("paper,kite", None, True), ("paper,kite", False, False), ("paper", True, True)],
)
def test_beside_real_money_the_paper_exchange_wants_its_token_unless_it_is_set(
    brokers: str, paper_token: bool | None, wanted: bool
) -> None:
    assert load(brokers=brokers, paper_token=paper_token).paper_token_wanted is wanted


def test_a_data_directory_that_cannot_be_made_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match="TRADEACTORS_DATA_DIR"):
        load_settings(secrets="create", data_dir=tmp_path / "file" / "data")


def test_stored_secrets_do_not_show_in_their_representation(tmp_path: Path) -> None:
    stored = create_secrets(tmp_path)

    assert stored == read_secrets(tmp_path)
    assert json.loads((tmp_path / SECRETS_FILE).read_text())["jwt_secret"] not in repr(stored)


def test_the_environment_for_a_started_process_gives_the_same_settings_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load(
        brokers="paper,kite", api_port=9000, order_timeout_s="0.2,1.5", jwt_secret=JWT_SECRET, database_url=EXTERNAL
    )

    variables = settings.environment()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert {"TRADEACTORS_JWT_SECRET", "TRADEACTORS_DATABASE_URL"}.isdisjoint(variables)
    assert load().model_copy(update={"jwt_secret": settings.jwt_secret, "database_url": EXTERNAL}) == settings


def test_importing_the_settings_loads_nothing_heavy() -> None:
    program = "import sys, config.settings; print({'ray', 'sqlalchemy', 'fastapi'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("kite_root", "http://api.kite.example", False),
        ("kite_root", "http://127.0.0.1.example", False),
        ("kite_root", "http://10.0.0.1:8080", False),
        ("kite_root", "http://127.0.0.1:8080", True),
        ("kite_root", "http://localhost:8080", True),
        ("kite_root", "http://[::1]:8080", True),
        ("kite_root", "https://api.kite.example", True),
        ("kite_ws_root", "ws://ws.kite.example", False),
        ("kite_ws_root", "ws://127.0.0.2:9000", True),
        ("kite_ws_root", "wss://ws.kite.example", True),
    ],
)
def test_keys_and_tokens_leave_this_machine_encrypted_only(name: str, value: str, taken: bool) -> None:
    if taken:
        assert getattr(load(**{name: value}), name) == value
        return
    (problem,) = problems_of(**{name: value})
    assert problem.startswith(f"{PREFIX}{name.upper()} must be encrypted")


@pytest.mark.parametrize(
    ("brokers", "registration", "mode"),
    [
        ("paper", None, "open"),
        ("kite", None, "invited"),
        ("paper,kite", None, "invited"),
        ("paper,kite", "open", "open"),
        ("paper", "invited", "invited"),
        ("kite", "closed", "closed"),
    ],
)
def test_where_real_orders_go_out_only_the_invited_register_unless_it_is_set(
    brokers: str, registration: str | None, mode: str
) -> None:
    assert load(brokers=brokers, registration=registration).registration_mode == mode


def test_without_a_public_address_browsers_come_back_to_this_machine() -> None:
    assert load(api_port=9000).callback_url == "http://127.0.0.1:9000/broker/callback"
    assert load(public_url="https://trade.example/api/").callback_url == "https://trade.example/api/broker/callback"
