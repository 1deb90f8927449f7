"""`POST /broker/paper`: an account of the user's own at the paper exchange, opened and connected."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends

from api.base.answers.problems import problems
from api.base.dependencies import resources
from api.brokers.schemas import BrokerConnectAnswer
from api.brokers.service import BrokerService, ConnectRequest
from api.users.dependencies import Address, RecentPassword, UserId
from broker.paper_accounts import OwnAccount, open_account
from config.settings import PAPER_TOKEN_FILE, Settings

router = APIRouter(prefix="/broker", tags=["broker"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    brokers: BrokerService
    settings: Settings


Opened = Annotated[Used, Depends(resources)]


@router.post("/paper", operation_id="connect_paper", responses=problems(401, 403, 409))
async def connect_paper(
    user_id: UserId, opened: Opened, address: Address, has_recent_password: RecentPassword
) -> BrokerConnectAnswer:
    """Connect an account of your own at the paper exchange, opened if it is not there yet. It needs no keys.

    It is the same account each time, and its login is renewed. Another paper account that is connected stays as it is.
    In place of an account at another broker it wants what `POST /broker/connect` wants.
    """
    opened.brokers.check_offered("paper")
    stored = await opened.brokers.account(user_id)
    own = OwnAccount.of(user_id, opened.settings.jwt_secret.get_secret_value())
    if stored is None or stored.broker != "paper" or stored.broker_user_id == own.user_id:
        await open_account(opened.settings.broker_root("paper"), _control_token(opened.settings), own)
        request = ConnectRequest(
            broker="paper", api_key=own.api_key, api_secret=own.api_secret, access_token=own.access_token
        )
        stored = await opened.brokers.connect(user_id, request, address, has_recent_password)
    return BrokerConnectAnswer(broker=stored.broker, broker_user_id=stored.broker_user_id)


def _control_token(settings: Settings) -> str | None:
    """The token of the embedded exchange's controls, where this process may read it."""
    path = settings.data_dir / PAPER_TOKEN_FILE
    return path.read_text(encoding="ascii").strip() if settings.paper_token_wanted and path.is_file() else None
