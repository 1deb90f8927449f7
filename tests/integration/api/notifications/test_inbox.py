"""`GET /notifications` and the preferences (row N1)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from actors.domain.notices.notice import AT_RISK, Notice, NoticeKind
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.repositories.notifications import tell
from tests.integration.api_user import PASSWORD, ApiUser

pytest_plugins = ["tests.integration.fixtures"]

AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
USUAL = {"quiet_from": "20:00:00", "quiet_until": "07:30:00", "amounts": False}


async def told(sessions: Sessions, user: ApiUser, number: int) -> int:
    """Notices of a user; the user's id."""
    user_id = int((await user.call("GET", "/auth/validate")).json()["user_id"])
    async with tenant_transaction(sessions, user_id) as session:
        for n in range(number):
            at, kind = AT + timedelta(seconds=n), NoticeKind.GUARD_LOST if n else NoticeKind.FILL_ENTRY
            await tell(session, user_id, Notice(kind=kind, key=str(n), text=f"Fact {n} of ₹5.00", at=at))
    return user_id


async def test_the_inbox_is_read_page_by_page_and_marked_as_read(client: httpx.AsyncClient, sessions: Sessions) -> None:
    user, other = await ApiUser.register(client), await ApiUser.register(client)
    await told(sessions, user, 3)
    await told(sessions, other, 1)
    page = (await user.call("GET", "/notifications?limit=2")).json()
    assert [entry["text"] for entry in page["notifications"]] == ["Fact 2 of ₹5.00", "Fact 1 of ₹5.00"]
    assert {name: page[name] for name in ("unread", "total", "total_capped", "limit", "offset")} == {
        "unread": 3, "total": 3, "total_capped": False, "limit": 2, "offset": 0,
    }  # fmt: skip
    first = page["notifications"][1]
    assert (first["at"], first["at_risk"], first["read_at"]) == ("2026-11-23T09:30:01+05:30", True, None)
    assert (await user.call("POST", "/notifications/read", through=first["notification_id"])).json() == {"unread": 1}
    unread = (await user.call("GET", "/notifications?unread=true")).json()
    assert [entry["text"] for entry in unread["notifications"]] == ["Fact 2 of ₹5.00"]
    assert (unread["unread"], unread["total"]) == (1, 1)
    assert (await other.call("GET", "/notifications")).json()["unread"] == 1, "another user's stay unread"
    assert (await user.call("POST", "/notifications/read", through=2**53 - 1)).json() == {"unread": 0}


async def test_preferences_are_replaced_as_a_whole(client: httpx.AsyncClient) -> None:
    user = await ApiUser.register(client)
    usual = (await user.call("GET", "/notifications/preferences")).json()
    assert usual | USUAL == usual
    assert usual["kinds"].keys() == {*NoticeKind}
    wanted: dict[str, Any] = {
        "quiet_from": None, "quiet_until": None, "amounts": True, "kinds": {"fill_entry": "off", "panic": "silent"},
    }  # fmt: skip
    answer = await user.call("PUT", "/notifications/preferences", **wanted)
    assert answer.status_code == 200, answer.text
    kept = (await user.call("GET", "/notifications/preferences")).json()
    assert kept == answer.json() == wanted | {"kinds": usual["kinds"] | wanted["kinds"]}
    await user.call("PUT", "/notifications/preferences", amounts=False)
    assert (await user.call("GET", "/notifications/preferences")).json() == usual


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"quiet_from": "20:00", "quiet_until": None}, "quiet_until"),
        ({"quiet_from": None}, "quiet_until"),
        ({"quiet_from": "07:30"}, "quiet_until"),
        ({"quiet_from": "7 pm"}, "quiet_from"),
        ({"amounts": "yes"}, "amounts"),
        ({"kinds": {"exit_trouble": "off"}}, "kinds"),
        ({"kinds": {"weather": "on"}}, "kinds"),
        ({"kinds": {"panic": "loud"}}, "kinds"),
        ({"sound": "bell"}, "body"),
    ],
)
async def test_what_is_no_preference_is_refused_by_field(
    client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    user = await ApiUser.register(client)
    answer = await user.call("PUT", "/notifications/preferences", **body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].split(".")[0] == field


async def test_what_may_cost_money_can_be_silent_but_not_off(client: httpx.AsyncClient) -> None:
    user = await ApiUser.register(client)
    for kind in AT_RISK:
        assert (await user.call("PUT", "/notifications/preferences", kinds={kind: "silent"})).status_code == 200


async def test_a_deleted_account_leaves_no_notice(client: httpx.AsyncClient, sessions: Sessions) -> None:
    user = await ApiUser.register(client)
    user_id = await told(sessions, user, 2)
    assert (await user.call("POST", "/auth/delete", password=PASSWORD)).status_code == 204
    async with tenant_transaction(sessions, user_id) as session:
        assert await tell(session, user_id, Notice(kind=NoticeKind.PANIC, key="0", text="t", at=AT)), "the key is free"
