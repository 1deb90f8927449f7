"""What a database holds that has just been made."""

import secrets

from sqlalchemy import create_engine, make_url, text

from persistence.database.engine import migrate


def test_a_new_database_has_no_user_to_log_in_as(postgres_url: str) -> None:
    """Source: OWASP ASVS 4.0.3, 2.5.4: no shared and no default accounts."""
    name = f"new_{secrets.token_hex(4)}"
    server = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        migrate(url)
        fresh = create_engine(url)
        with fresh.connect() as connection:
            counts = [connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in ("users", "logins")]  # noqa: S608
        fresh.dispose()
        assert counts == [0, 0]
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        server.dispose()
