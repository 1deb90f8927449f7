"""The one real stack of a test session, and what tests look at it with.

`tests.kit.stack` comes before anything that imports Ray, which reads its settings when it is imported.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from config.settings import PREFIX
from config.stack.paper import paper_token
from config.stack.stack import Stack
from tests.kit.alerts import AlertInbox
from tests.kit.paper import PaperControl
from tests.kit.stack import running_stack, temporary_data_dir
from tests.kit.trader import Deployment

QUICK: dict[str, Any] = {
    # ambiguity is resolved in seconds, so that four attempts fit into a test
    "entry_quarantine_s": 1.5,
    "exit_quarantine_s": 1.0,
    "order_timeout_s": "0.5,1.5",
    "execution_actors": 1,
    "max_running": 200,  # one trader runs what many would
    "max_running_total": 400,
}


def deployment_of(stack: Stack, alerts: AlertInbox) -> Deployment:
    """What a test needs of a running stack; the process becomes a driver of its Ray."""
    import redis

    from actors.runtime.driver import cluster

    cluster.connect(stack.settings)
    client = redis.Redis.from_url(stack.settings.redis_url, decode_responses=True, socket_timeout=30)
    exchange = PaperControl(stack.urls["paper exchange"], paper_token(stack.settings.data_dir))
    return Deployment(stack.settings, stack.urls["API"], exchange, client, alerts)


@contextmanager
def running_session(secrets: Mapping[str, str] | None = None, /, **settings: Any) -> Iterator[tuple[Stack, Deployment]]:
    """PostgreSQL, Valkey, Ray, the paper exchange and the API, all real, with alerts and failpoints on.

    `secrets`: variables that its parts inherit besides.
    """
    with AlertInbox() as alerts, temporary_data_dir() as failpoints:
        given = {"failpoints": str(failpoints), **QUICK, **settings}
        chosen = {name: value for name, value in given.items() if value is not None}
        with running_stack(secrets={f"{PREFIX}ALERT_URLS": alerts.url, **(secrets or {})}, **chosen) as stack:
            import ray

            deployment = deployment_of(stack, alerts)
            try:
                yield stack, deployment
            finally:
                deployment.redis.close()
                ray.shutdown()
