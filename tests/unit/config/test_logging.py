import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import structlog

from actors.log_lines import line_for_people
from config.logging import REDACTED, configure_logging, redact_secrets, redact_text


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_both_kinds_of_logger_write_json_with_a_utc_timestamp(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")

    structlog.get_logger("engine").info("order placed", order_id="17")
    logging.getLogger("library").warning("slow by %s ms", 20, extra={"symbol": "INFY"})

    ours, theirs = lines(capsys)
    assert (ours["event"], ours["level"], ours["logger"], ours["order_id"]) == ("order placed", "info", "engine", "17")
    assert (theirs["event"], theirs["level"], theirs["symbol"]) == ("slow by 20 ms", "warning", "INFY")
    assert datetime.fromisoformat(ours["timestamp"]).utcoffset() == timedelta(0)


def test_secrets_are_taken_out_at_any_depth_and_in_any_spelling() -> None:
    event = {
        "event": "login",
        "password": "hush",
        "Access-Token": "hush",
        "request": {"headers": [{"Authorization": "hush"}], "jwt_secret": "hush"},
        "email": "a@example.com",
    }

    redacted = redact_secrets(None, "info", event)

    assert "hush" not in str(redacted)
    assert redacted["password"] == REDACTED
    assert redacted["email"] == "a@example.com"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_local_variable_appears_in_a_traceback(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json" if log_format == "json" else "console")

    def fails(pin: str) -> None:
        raise ValueError("wrong")

    try:
        fails("".join(["hu", "sh"]))
    except ValueError:
        structlog.get_logger().exception("failed")

    written = capsys.readouterr().err
    assert "ValueError: wrong" in written
    assert "hush" not in written


def test_chatty_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")

    for name in ("kiteconnect", "urllib3.connectionpool", "twisted"):
        logging.getLogger(name).info("chatter")

    assert lines(capsys) == []


@pytest.mark.parametrize("password", ["pa,ss;word", "a'b\"c)d]e", "p}w", "with@at", ",;'\")]x"])
def test_a_password_is_redacted_whatever_is_in_it(password: str) -> None:
    assert redact_text(f"cannot reach postgresql://ta:{password}@db:5432/x") == (
        f"cannot reach postgresql://ta:{REDACTED}@db:5432/x"
    )


@pytest.mark.parametrize("password", ["a/b", "a/b@c/d", "/"])
def test_the_password_of_a_database_may_have_a_slash(password: str) -> None:
    for scheme in ("postgresql+psycopg", "postgresql", "redis", "rediss", "unix"):
        assert redact_text(f"cannot reach {scheme}://ta:{password}@db:5432/x") == (
            f"cannot reach {scheme}://ta:{REDACTED}@db:5432/x"
        )


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("tgram://123456789:AAbbCC/-1001", f"tgram://{REDACTED}"),
        ("sent to discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js!", f"sent to discord://{REDACTED}"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#x failed", f"slack://{REDACTED} failed"),
        ("pover://user@token", f"pover://{REDACTED}"),
        ("mailtos://me:secret@example.com", f"mailtos://{REDACTED}"),
        ("https://hooks.slack.com/services/T0/B0/xyz: 404", f"https://hooks.slack.com/{REDACTED} 404"),
        ("https://discord.com/api/webhooks/12/abc", f"https://discord.com/api/webhooks/{REDACTED}"),
        ("POST https://api.telegram.org/bot12:AA/sendMessage", f"POST https://api.telegram.org/bot{REDACTED}"),
        ("https://abcdef@sentry.example/1", f"https://{REDACTED}@sentry.example/1"),
    ],
)
def test_a_token_in_the_address_of_a_notification_is_redacted(said: str, left: str) -> None:
    assert redact_text(said) == left


@pytest.mark.parametrize(
    "said",
    [
        "GET https://api.kite.trade/orders?mail=a@b.c",
        "http://127.0.0.1:8085/paper/health",
        "postgresql+psycopg://postgres@/tradeactors?host=/tmp/ta-pg-1",
        "unix://default@/tmp/ta-vk-1/valkey.sock",
        "ws://127.0.0.1:8085/",
    ],
)
def test_an_address_without_a_secret_is_left_as_it_is(said: str) -> None:
    assert redact_text(said) == said


def test_an_unquoted_password_is_redacted_to_its_end() -> None:
    assert redact_text("password=pa,ss;word, user=ta") == f"password={REDACTED}, user=ta"


def test_people_get_the_same_line_on_stdout_without_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(for_people=line_for_people)
    structlog.get_logger("a").warning("alert", code="feed_lost", message="No prices", password="secret-1")
    logging.getLogger("b").info("others %s", "too")
    out, err = capsys.readouterr()
    assert json.loads(err.splitlines()[0])["code"] == "feed_lost"
    assert [line[13:] for line in out.splitlines()] == [
        "IST WARNING alert  No prices  code=feed_lost password=[redacted]",
        "IST others too",
    ]
