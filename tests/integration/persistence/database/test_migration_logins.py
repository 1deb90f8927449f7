"""Migration 0002 on a database that is in use: it logs no user out, and no revoked token comes back."""

from alembic import command
from sqlalchemy import Connection, Engine, text

from tests.integration.persistence.database.new_database import database_of_before

FAMILIES = """
INSERT INTO users (email, password_hash) VALUES ('asha@example.com', 'x');
INSERT INTO refresh_tokens (user_id, token_hash, family_id, issued_at, expires_at, used_at, revoked_at)
SELECT users.id, sha256(wanted.token), wanted.family::uuid, wanted.issued_at::timestamptz, '2026-12-30', null,
       wanted.revoked_at::timestamptz
FROM users, (VALUES
    ('first'::bytea, '00000000-0000-0000-0000-00000000000a', '2026-11-20', null),
    ('second'::bytea, '00000000-0000-0000-0000-00000000000a', '2026-11-21', null),
    ('stolen'::bytea, '00000000-0000-0000-0000-00000000000b', '2026-11-22', '2026-11-23')
) AS wanted (token, family, issued_at, revoked_at);
"""


def test_families_of_refresh_tokens_become_logins_and_back(database: Engine) -> None:
    with database.connect() as connection:
        config = database_of_before(connection, "0001", FAMILIES)
        before = _tokens(connection, "family_id", "revoked_at IS NOT NULL")
        command.upgrade(config, "0002")
        logins = connection.execute(text("SELECT right(id::text, 1), started_at::date::text, ended_at IS NOT NULL "
                                         "FROM logins ORDER BY started_at")).all()  # fmt: skip
        assert [tuple(row) for row in logins] == [("a", "2026-11-20", False), ("b", "2026-11-22", True)]
        assert _tokens(
            connection, "login_id", "logins.ended_at IS NOT NULL", "JOIN logins ON logins.id = login_id"
        ) == (before)
        command.downgrade(config, "0001")
        assert _tokens(connection, "family_id", "revoked_at IS NOT NULL") == before
        assert before == [("first", "a", False), ("second", "a", False), ("stolen", "b", True)]


def _tokens(connection: Connection, family: str, revoked: str, join: str = "") -> list[tuple[str, str, bool]]:
    rows = connection.execute(
        text(
            f"SELECT name, right({family}::text, 1), {revoked} "  # noqa: S608 - names of columns, from above
            f"FROM refresh_tokens {join} "
            "JOIN (VALUES ('first'), ('second'), ('stolen')) AS names (name) ON token_hash = sha256(name::bytea) "
            "ORDER BY name"
        )
    )
    tokens = [(str(name), str(end), bool(is_revoked)) for name, end, is_revoked in rows]
    connection.commit()
    return tokens
