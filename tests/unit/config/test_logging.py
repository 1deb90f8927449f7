import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import structlog

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


def test_an_unquoted_password_is_redacted_to_its_end() -> None:
    assert redact_text("password=pa,ss;word, user=ta") == f"password={REDACTED}, user=ta"
