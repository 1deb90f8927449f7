"""Alembic's entry point: runs on the connection that `persistence.database.engine.migrate` hands over."""

from alembic import context

from persistence.database.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    compare_type=True,
    compare_server_default=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
