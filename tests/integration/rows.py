"""Rows that the integration tests start from."""

import secrets
from datetime import UTC, datetime, time, timedelta

from persistence.database.engine import Sessions, transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.users import User

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


async def new_user(sessions: Sessions) -> User:
    """A user with an address of its own."""
    user = User(email=f"{secrets.token_hex(8)}@example.com", password_hash="$argon2id$none")
    async with transaction(sessions) as session:
        session.add(user)
    return user


async def new_run(
    sessions: Sessions, *, like: Run | None = None, user_id: int | None = None, symbol: str = "INFY"
) -> Run:
    """An open run with an armed ENTRY; of a new strategy and account and a new or known user, or of another run's."""
    async with transaction(sessions) as session:
        if like is None:
            if user_id is None:
                user = User(email=f"{secrets.token_hex(8)}@example.com", password_hash="$argon2id$none")
                session.add(user)
                await session.flush()
                user_id = user.id
            account = BrokerAccount(
                user_id=user_id,
                broker="paper",
                broker_user_id=f"AB{secrets.token_hex(6)}",
                api_key_hint="ey01",
                secrets_box=b"\x01sealed",
                key_version="00000000",
                token_obtained_at=NOW,
            )
            strategy = Strategy(
                user_id=user_id,
                exchange="NSE",
                tradingsymbol=symbol,
                instrument_token=408065,
                product="MIS",
                buy_time=time(9, 30),
                sell_time=time(15, 10),
                stop_loss_paise=149_050,
                quantity=10,
                status="running",
            )
            session.add_all([account, strategy])
            await session.flush()
            owner, account_id, strategy_id = user_id, account.id, strategy.id
        else:
            assert like.broker_account_id is not None
            owner, account_id, strategy_id = like.user_id, like.broker_account_id, like.strategy_id
        run = Run(
            strategy_id=strategy_id,
            user_id=owner,
            broker_account_id=account_id,
            tag_key=secrets.token_bytes(16),
            buy_at=NOW,
            sell_at=NOW + timedelta(hours=5),
            stop_loss_paise=149_050,
            quantity=10,
            product="MIS",
        )
        session.add(run)
        await session.flush()
        tag = "N" + secrets.token_hex(9).upper()
        session.add(Intent(run_id=run.id, leg="ENTRY", seq=1, side="BUY", quantity=10, cause="BUY", tag=tag))
        await session.flush()
        await session.refresh(run)
    return run
