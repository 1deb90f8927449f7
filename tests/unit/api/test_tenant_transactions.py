"""Which parts of the API act for no single user, and so without row-level security (decision 9)."""

import ast
from collections.abc import Iterator
from pathlib import Path

API = Path(__file__).parents[3] / "api"

FOR_NO_SINGLE_USER = {
    "users/auth_service.py register": "there is no user yet",
    "users/auth_service.py _owner": "looks for the user of a refresh token",
    "users/passwords/check.py _check": "looks for the user of an e-mail address",
    "users/passwords/check.py _counted_as": "an attempt on an address that may be nobody's",
    "users/passwords/check.py _record": "an attempt on an address that may be nobody's",
    "users/auth_service.py _is_invited": "an invitation belongs to no user yet",
    "users/auth_service.py _of_reset_code": "looks for the user of a code",
    "users/operator.py invite": "there is no user yet; the operator's command, not the API",
    "users/operator.py give_reset_code": "looks for the user of an e-mail address; the operator's command, not the API",
    "users/operator.py add_user": "there is no user yet; the operator's command, not the API",
    "users/operator.py reset_password": "looks for the user of an e-mail address; the operator's command, not the API",
    "operations/routes.py _places": "counts for all users",
    "overview/looking.py _database": "looks at the whole deployment for its operator",
    "brokers/browser_logins.py _owner": "looks for the user of a login state or a login link",
    "strategies/panic/marks.py agree": "compares the marks of all users",
    "strategies/panic/operator.py panic": "may concern all users; the operator's command, not the API",
    "strategies/panic/pursuit.py round": "goes after the panics of all users",
    "strategies/schedules/arming.py sweep": "looks for the schedules of all users that are due",
    "strategies/schedules/arming.py _look_at": "takes the look at one of them",
    "brokers/service.py key_versions": "concerns the keys of all users",
    "notifications/channels.py add_push": "takes a browser over from the user who had it before",
    "notifications/telegram/connecting.py channel_of": "looks for the user of a chat",
    "notifications/telegram/connecting.py connect": "looks for the user of a code",
    "notifications/telegram/poller.py round": "holds the lease of the bot, which is nobody's",
    "notifications/telegram/poller.py _begin": "takes updates, which are nobody's",
    "notifications/telegram/poller.py _done": "as it took them",
    "notifications/telegram/poller.py _release": "lets go of the lease of the bot",
    "notifications/day_summaries.py make": "looks at the day of all users",
    "notifications/sending/sender.py step": "sends the notices of all users",
    "readiness/rounds.py _waiting": "asks which users' days are due",
    "readiness/operator.py _clock_is_right": "asks the database's clock",
    "readiness/operator.py _lasts": "faults are of the deployment",
    "readiness/operator.py tell_changes": "faults are of the deployment",
    "notifications/sending/sender.py _send": "records what has come of them",
    "notifications/sending/sender.py _send_in_turn": "puts off what a slow channel left no time for",
}


def openers(name: str) -> Iterator[str]:
    for path in sorted(API.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                called = {ast.unparse(call.func) for call in ast.walk(function) if isinstance(call, ast.Call)}
                if called & {name, f"database.{name}"}:
                    yield f"{path.relative_to(API)} {function.name}"


def test_only_these_functions_open_a_transaction_without_naming_its_user() -> None:
    assert set(openers("transaction")) == set(FOR_NO_SINGLE_USER)


def test_sessions_are_opened_by_transactions_alone() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in API.rglob("*.py"))
    assert "sessions.begin(" not in source
    assert "_sessions()" not in source


def test_the_others_name_it() -> None:
    assert len(set(openers("tenant_transaction"))) > 15
