"""Migrations 0010 and 0011 on a database that is in use: logins go on, with what is known of their use."""

from alembic import command
from sqlalchemy import Engine, text

from tests.integration.persistence.database.new_database import database_of_before

LOGINS = """
INSERT INTO users (email, password_hash) VALUES ('asha@example.com', 'x');
INSERT INTO logins (id, user_id, address, started_at, ended_at, end_reason)
SELECT wanted.id::uuid, users.id, wanted.address, wanted.started_at::timestamptz, wanted.ended_at::timestamptz,
       wanted.end_reason
FROM users, (VALUES
    ('00000000-0000-0000-0000-00000000000a', '192.0.2.1', '2026-11-20', null, null),
    ('00000000-0000-0000-0000-00000000000b', null, '2026-11-21', null, null),
    ('00000000-0000-0000-0000-00000000000c', '192.0.2.2', '2026-11-22', '2026-11-23', 'logout')
) AS wanted (id, address, started_at, ended_at, end_reason);
INSERT INTO refresh_tokens (user_id, login_id, token_hash, issued_at, expires_at)
SELECT users.id, '00000000-0000-0000-0000-00000000000a', sha256(day::text::bytea), day, '2026-12-30'
FROM users, generate_series('2026-11-20'::timestamptz, '2026-11-25', '1 day') AS day;
"""
SEEN = """
SELECT right(id::text, 1), last_address, started_at::date::text, last_used_at::date::text,
       confirmed_at = started_at, user_agent, ended_at IS NULL
FROM logins ORDER BY id
"""


def test_logins_of_before_go_on_from_when_their_tokens_were_last_renewed(database: Engine) -> None:
    with database.connect() as connection:
        config = database_of_before(connection, "0009", LOGINS)
        command.upgrade(config, "0011")
        assert [tuple(row) for row in connection.execute(text(SEEN))] == [
            ("a", "192.0.2.1", "2026-11-20", "2026-11-25", True, "", True),
            ("b", None, "2026-11-21", "2026-11-21", True, "", True),
            ("c", "192.0.2.2", "2026-11-22", "2026-11-23", True, "", False),
        ]
        assert len(set(connection.scalars(text("SELECT number FROM logins")))) == 3
        connection.execute(text("UPDATE logins SET ended_at = now(), end_reason = 'expired' WHERE id::text LIKE '%b'"))
        connection.commit()
        command.downgrade(config, "0009")
        ends = connection.execute(text("SELECT end_reason FROM logins ORDER BY id")).scalars().all()
        assert ends == [None, "logout", "logout"]
        connection.commit()
        command.upgrade(config, "0011")
