"""What schemathesis must know about us: two tenants, and the rules of the business that no JSON schema can tell.

Loaded by `schemathesis.toml` in the process of `st run`. FUZZ_URL is the API, FUZZ_TENANTS the two users (`Tenant`)
as JSON, FUZZ_COUNTS the file for the cases that were checked: `[phase, operation, status, how many]`.
"""

import atexit
import itertools
import json
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import requests
import schemathesis
from email_validator import EmailNotValidError, validate_email

from api.users.passwords.common import is_common
from api.users.passwords.rules import FEWEST, MOST, resembles
from api.users.passwords.spelling import seen_characters
from tests.fuzz import PASSWORD, spare

Case: TypeAlias = schemathesis.Case[Any]

URL = os.environ["FUZZ_URL"]
TIMEOUT_S = 10.0

Json = dict[str, Any]


@dataclass
class Tenant:
    """A user of the API, whose password is PASSWORD; `credentials` are the body of a connection to the broker."""

    email: str
    token: str
    credentials: dict[str, str]

    @property
    def authorization(self) -> str:
        """The header."""
        return f"Bearer {self.token}"


TENANTS = [Tenant(**tenant) for tenant in json.loads(os.environ["FUZZ_TENANTS"])]
SYMBOLS = ("INFY", "NSE:TCS", "M&M", "NSE:BAJAJ-AUTO")
TICK, MAX_STOP, MAX_QUANTITY = 5.0, 1000.0, 5000
FEWEST_PERCENT = 1.0
"""What suits all of them: ticks, prices above 1000 and below 10,000 rupees, orders below MAX_NOTIONAL."""

LAST_DAY = "2099-12-31"
KEY = "Idempotency-Key"

OF_A_SCHEDULE = {
    "put_schedule", "get_schedule", "delete_schedule", "pause_schedule", "resume_schedule", "skip_schedule_day",
}  # fmt: skip
"""Operations that want a schedule, or a strategy that can have one."""

_session = requests.Session()
_turn, _logins, _address = itertools.count(), itertools.count(), itertools.count(1)
_owners: dict[str, Tenant] = {}
_channel_owners: dict[str, Tenant] = {}
_spare: list[Tenant] = []
_checked: Counter[tuple[str, str, int]] = Counter()


@atexit.register
def _write_counts() -> None:
    counts = [[*what, times] for what, times in _checked.items()]
    Path(os.environ["FUZZ_COUNTS"]).write_text(json.dumps(counts), encoding="utf-8")


def _spare_tenant() -> Tenant:
    if not _spare:
        email = f"spare{next(_turn)}.{os.getpid()}@example.com"
        body = {"email": email, "password": PASSWORD}
        answer = requests.post(f"{URL}/auth/register", json=body, headers=_forwarded(), timeout=TIMEOUT_S)
        answer.raise_for_status()
        _spare.append(Tenant(email, answer.json()["access_token"], {}))
    return _spare[0]


def _ask_as_spare(method: str, path: str, body: Json) -> requests.Response:
    headers = _forwarded() | {"Authorization": _spare_tenant().authorization}
    return requests.request(method, URL + path, json=body, headers=headers, timeout=TIMEOUT_S)


def _forwarded() -> dict[str, str]:
    """An address for each request: what is throttled by address is tested elsewhere."""
    number = next(_address)
    return {"X-Forwarded-For": f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"}


def _operation(case: Case) -> str:
    return str(case.operation.definition.raw.get("operationId", ""))


def _strategy_id(case: Case) -> str | None:
    """The strategy that a case is about."""
    body = case.body if isinstance(case.body, dict) else {}
    found = (case.path_parameters or {}).get("strategy_id", body.get("strategy_id"))
    return None if found is None else str(found)


def _channel_id(case: Case) -> str:
    """The channel that a case is about."""
    return str((case.path_parameters or {}).get("channel_id"))


def _is_meant_well(case: Case) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


def _is_in_a_chain(case: Case) -> bool:
    """Whether the case follows from others, so that no schedule may be there that they have not made."""
    return case.meta is not None and case.meta.phase.name.value == "stateful"


@schemathesis.auth(refresh_interval=None)
class Alternating:
    """A strategy's owner asks about it; anything else is asked by either tenant in turn."""

    def get(self, case: Case, _context: object) -> Tenant:
        """Who asks."""
        if _operation(case) in spare.OF_A_SPARE:
            return _channel_owners.get(_channel_id(case)) or _spare_tenant()
        return _owners.get(_strategy_id(case) or "") or TENANTS[next(_turn) % len(TENANTS)]

    def set(self, case: Case, tenant: Tenant, _context: object) -> None:
        """Put the token where it belongs."""
        case.headers["Authorization"] = tenant.authorization


@schemathesis.hook
def before_call(_context: object, case: Case, kwargs: Json) -> None:
    """Give every request an address, and one that is meant well what the business asks for."""
    case.headers.update(_forwarded())
    operation = _operation(case)
    if operation == "strategy_events" and case.query.get("follow") in (None, True, "true"):
        case.query["follow"] = "false"  # else the answer has no end
    if not _is_meant_well(case):
        return
    if operation == "broker_login_url" and case.query.get("return"):
        case.query.pop("api_key", None)  # a login that comes back here is for the stored connection
        case.query.pop("broker", None)
    if case.meta is not None and case.meta.phase.name.value == "fuzzing":
        _aim(case)
    if KEY in case.headers:
        case.headers[KEY] = f"{next(_turn)}.{case.headers[KEY]}"[:255]  # a key belongs to one request
    repair = _REPAIRS.get(operation)
    if repair is not None and isinstance(case.body, dict):
        repair(case.body)
    if operation in OF_A_SCHEDULE and _strategy_id(case) in _owners and next(_turn) % 2:
        _schedule(case, put=operation != "put_schedule" and not _is_in_a_chain(case))
    if operation == "skip_schedule_day" and isinstance(case.body, dict) and "Authorization" in case.headers:
        case.body["date"] = _coming_day(case)
    if operation in spare.OF_A_SPARE:
        spare.aim(case, operation, _ask_as_spare)


@schemathesis.hook
def after_call(_context: object, case: Case, response: schemathesis.Response) -> None:
    """Note whose a new strategy is, which are gone, and which tenant is no longer of use."""
    operation = _operation(case)
    if operation == "create_strategy" and response.status_code == 201:
        asked_with = response.request.headers["Authorization"]
        owner = next(tenant for tenant in TENANTS if tenant.authorization == asked_with)
        _owners[str(response.json()["strategy_id"])] = owner
    if operation == "delete_strategy" and response.status_code == 204:
        _owners.pop(_strategy_id(case) or "", None)
    if operation in {"add_channel", "subscribe_push"} and response.status_code == 201:
        _channel_owners[str(response.json()["channel_id"])] = _spare_tenant()
    if spare.uses_up(operation, response.status_code):
        _spare.clear()


@schemathesis.check
def every_case_is_counted(_context: object, response: schemathesis.Response, case: Case) -> None:
    """Under the operation that it belongs to, also if it tries a method that the path does not have."""
    phase = case.meta.phase.name.value if case.meta is not None else "unknown"
    _checked[phase, _operation(case), response.status_code] += 1


@schemathesis.check
def another_tenant_finds_nothing(_context: object, response: schemathesis.Response, case: Case) -> None:
    """What one tenant was just given, the other is refused with 404, whatever the operation."""
    owner = _owners.get(_strategy_id(case) or "")
    if owner is None or not 200 <= response.status_code < 300:
        return
    other = next(tenant for tenant in TENANTS if tenant is not owner)
    request = response.request.copy()
    request.headers["Authorization"] = other.authorization
    answer = _session.send(request, timeout=TIMEOUT_S)
    assert answer.status_code == 404, f"another tenant got {answer.status_code}: {answer.text}"


@schemathesis.check
def a_request_with_a_key_is_carried_out_once(_context: object, response: schemathesis.Response, case: Case) -> None:
    """What succeeded is answered in the same words when it is sent again, and every fifth is sent again."""
    key = response.request.headers.get(KEY)
    if key is None or not _is_meant_well(case) or response.status_code not in {200, 201} or next(_turn) % 5:
        return
    answer = _session.send(response.request.copy(), timeout=TIMEOUT_S)
    assert (answer.status_code, answer.content) == (response.status_code, response.content)
    assert answer.headers["Idempotent-Replayed"] == "true"


def _aim(case: Case) -> None:
    """Three of four times at a strategy that exists, as its owner, unless the case does so already."""
    found = _strategy_id(case)
    if found is None or found in _owners or not _owners or next(_turn) % 4 == 0:
        return
    strategy_id = list(_owners)[next(_turn) % len(_owners)]
    if "strategy_id" in (case.path_parameters or {}):
        case.path_parameters["strategy_id"] = int(strategy_id)
    else:
        body: Any = case.body
        body["strategy_id"] = int(strategy_id)
    if case.headers.get("Authorization") in {tenant.authorization for tenant in TENANTS}:
        case.headers["Authorization"] = _owners[strategy_id].authorization
    if next(_turn) % 2:
        case.query.pop("run_id", None)


def _repair_account(body: Json) -> None:
    """An address that there can be, most times a new one; a password that is not the address."""
    try:
        validate_email(body["email"], check_deliverability=False)
    except EmailNotValidError:
        body["email"] = "user@example.com"
    body.pop("invitation", None)
    if next(_turn) % 4:
        body["email"] = f"{next(_turn)}.{body['email']}"[:254] if len(body["email"]) < 50 else body["email"]
    if resembles(body["password"], body["email"]) or not _is_new_password(body["password"]):
        body["password"] = PASSWORD


def _repair_login(body: Json) -> None:
    """Every tenth time a tenant's."""
    _repair_account(body)
    if next(_logins) % 10 == 0:
        body.update(email=TENANTS[0].email, password=PASSWORD)


def _repair_strategy(body: Json) -> None:
    """Buy before sell, a symbol of the broker's list, a tick size that all have, the caps."""
    body["symbol"] = SYMBOLS[len(body["symbol"]) % len(SYMBOLS)]
    first, last = sorted(f"{time}:00"[:8] for time in (body["buy_time"], body["sell_time"]))
    body["buy_time"], body["sell_time"] = (first, last) if first < last else ("09:30", "15:10")
    if next(_turn) % 2:  # in percent, as a schedule wants it
        body.pop("stop_loss", None)
        body["stop_loss_percent"] = max(body.get("stop_loss_percent") or 2.5, FEWEST_PERCENT)
    else:
        body["stop_loss"] = _to_tick(body.get("stop_loss") or 0)
        body.pop("stop_loss_percent", None)
    body["quantity"] = min(body["quantity"], MAX_QUANTITY)


def _repair_schedule(body: Json) -> None:
    """It has begun, ends in a time to come, and skips few days."""
    if body.get("from") is not None:
        body["from"] = "2026-11-01"
    if body.get("until") is not None:
        body["until"] = LAST_DAY
    if body.get("skip"):
        body["skip"] = body["skip"][:10]


def _repair_pause(body: Json) -> None:
    """Until a day to come, if until any."""
    if body.get("until") is not None:
        body["until"] = LAST_DAY


def _schedule(case: Case, *, put: bool) -> None:
    """Give the strategy that a case is about a stop-loss in percent, and a schedule if `put`, as its owner."""
    strategy_id = _strategy_id(case) or ""
    headers = _forwarded() | {"Authorization": _owners[strategy_id].authorization}
    path = f"{URL}/strategy/{strategy_id}"
    requests.patch(path, json={"stop_loss_percent": 2.5}, headers=headers, timeout=TIMEOUT_S)
    if put:
        requests.put(f"{path}/schedule", json={"days": "every_session"}, headers=headers, timeout=TIMEOUT_S)


def _coming_day(case: Case) -> str:
    """A coming day of the schedule that a case is about, if it has one; the exchange is always open."""
    day = datetime.now(UTC).date() + timedelta(days=2)
    url, headers = f"{URL}/strategy/{_strategy_id(case)}/schedule", {"Authorization": case.headers["Authorization"]}
    answer = requests.get(url, headers=_forwarded() | headers, timeout=TIMEOUT_S)
    days = answer.json()["days"] if answer.status_code == 200 else "every_session"
    while days != "every_session" and f"{day:%a}".lower() not in days:
        day += timedelta(days=1)
    return day.isoformat()


def _repair_preview(body: Json) -> None:
    """As create, where no stored strategy is meant; that stands alone, also where a chain puts it beside the rest."""
    if "strategy_id" not in body:
        _repair_strategy(body)
        return
    for name in body.keys() - {"strategy_id"}:
        del body[name]


def _repair_change(body: Json) -> None:
    """A change that fits any strategy that `_repair_strategy` lets through, and changes something."""
    if body.get("buy_time") is not None:
        body["buy_time"] = "00:00"
    if body.get("sell_time") is not None:
        body["sell_time"] = "23:59:59"
    if body.get("stop_loss") is not None or body.get("quantity") is None:
        body["stop_loss"] = _to_tick(body.get("stop_loss") or 0)
        body.pop("stop_loss_percent", None)
    if body.get("quantity") is not None:
        body["quantity"] = min(body["quantity"], MAX_QUANTITY)


def _to_tick(price: float) -> float:
    return max(1, int(min(price, MAX_STOP) / TICK)) * TICK


def _repair_connection(body: Json) -> None:
    """The pair of keys, one token, and no proxy, which the operator allows to no user by default; every other time
    those of an account that there is.
    """
    if next(_turn) % 2:
        body.clear()
        body.update(TENANTS[0].credentials)
        return
    if "proxy_url" in body:
        body["proxy_url"] = None
    body["api_key"], body["api_secret"] = body.get("api_key") or "key", body.get("api_secret") or "secret"
    if (body.get("access_token") is None) == (body.get("request_token") is None):
        body.pop("request_token", None)
        body["access_token"] = "token"


def _repair_password(body: Json) -> None:
    """Every tenth time the right one, and none longer than a password can be."""
    name = "current_password" if "current_password" in body else "password"
    if next(_turn) % 10 == 0 or seen_characters(body[name]) > MOST:
        body[name] = PASSWORD
    _repair_new_password(body)


def _repair_new_password(body: Json) -> None:
    """None that is guessed first, and of a length that a person counts."""
    if not _is_new_password(body.get("new_password", PASSWORD)):
        body["new_password"] = PASSWORD


def _is_new_password(password: str) -> bool:
    return FEWEST <= seen_characters(password) <= MOST and not is_common(password)


def _repair_token(body: Json) -> None:
    if not body.get("refresh_token"):  # left out by those alone whose session is in a cookie
        body["refresh_token"] = "x" * 43


_REPAIRS = {
    "refresh": _repair_token,
    "logout": _repair_token,
    "register": _repair_account,
    "login": _repair_login,
    "create_strategy": _repair_strategy,
    "preview_strategy": _repair_preview,
    "put_schedule": _repair_schedule,
    "pause_schedule": _repair_pause,
    "patch_strategy": _repair_change,
    "connect_broker": _repair_connection,
    "change_password": _repair_password,
    "confirm_password": _repair_password,
    "reset_password": _repair_new_password,
    "delete_account": _repair_password,
} | spare.REPAIRS
