"""Names of the Redis keys of the mirror.

key                          type    content
strategy:{id}                hash    what the user asked for, while it runs
runtime:{id}                 hash    where it stands; kept for a day after its end (ruling 7)
symbol:{symbol}:strategies   set     ids of running strategies
price:{symbol}               hash    price, exchange_time, received_at; feed: live | late | down, feed_lag_ms,
                                     feed_since, as its router knows them; of the first of BROKERS
{broker}:price:{symbol}      hash    the same, of each other broker
bars:{symbol}:{yyyymmdd}     hash    {hhmm}: open,high,low,close in paise of the minute (UTC, by the stamps);
                                     of what was heard while a strategy ran on the symbol; expires
{broker}:bars:…              hash    the same, of each other broker
feed:{broker}                hash    {connection}.feed, .feed_lag_ms, .feed_since of a broker's tick stream; expires
feed_account:{broker}        string  id of the account whose credentials have carried the stream last
queue:orders                 list    pending order events (row G2)
queue:orders:dead            list    what was on the queue and names no order of ours, newest first
lock_state:{id}              string  "epoch:intent id" that holds the strategy's order lock (row G1); expires
lock_claim:{id}              string  id of the claim that got the lock; expires
user:{id}                    hash    broker_connected (row B1)
entries:forbidden            hash    {user id}: id of the panic that forbids the user's entries (row N8)
nodes:emptied                string  JSON list of the addresses of Ray nodes on which no actor begins; expires
processes                    hash    {name of a process}: when it last said that it runs, by the clock of Redis, and
                                     where it runs; written and read by `presence`
events:{user_id}             stream  what changed of the user's strategies: event, strategy_id, state (runtime as
                                     JSON); written by `scripts`, read by `event_stream`

The channel `events` carries the id of each user whose stream has grown.
"""

ORDER_QUEUE = "queue:orders"
DEAD_ORDERS = "queue:orders:dead"
BUILT_KEY = "mirror:built"
"""Set once the mirror shows every open run; a Redis that has lost its keys has lost this one too."""


PROCESSES = "processes"
"""Hash of the actors of the pools and the processes of the API, as each of them says of itself."""

EMPTIED_NODES = "nodes:emptied"
"""String, the nodes that are being emptied, as a process of the API has last seen them."""

ENTRY_BANS = "entries:forbidden"
"""Hash of who has forbidden entries. It is read beside PostgreSQL: a key that is missing allows nothing."""


def strategy_key(strategy_id: int) -> str:
    """Hash of what the user asked for."""
    return f"strategy:{strategy_id}"


def strategy_key_pattern() -> str:
    """What SCAN finds the hashes of all running strategies by."""
    return "strategy:*"


def runtime_key(strategy_id: int) -> str:
    """Hash of where the strategy stands."""
    return f"runtime:{strategy_id}"


def symbol_key(symbol: str) -> str:
    """Set of the ids of running strategies on a symbol."""
    return f"symbol:{symbol}:strategies"


def price_key(symbol: str, other_broker: str = "") -> str:
    """Hash of the latest price of a symbol; `other_broker`: at another broker than the first of BROKERS."""
    return f"{other_broker}:price:{symbol}" if other_broker else f"price:{symbol}"


def bars_key(symbol: str, day: str, other_broker: str = "") -> str:
    """Hash of the minute bars of a symbol on a day of UTC (`yyyymmdd`); `other_broker` as in `price_key`."""
    key = f"bars:{symbol}:{day}"
    return f"{other_broker}:{key}" if other_broker else key


def feed_key(broker: str) -> str:
    """Hash of how a broker's tick stream is."""
    return f"feed:{broker}"


def feed_account_key(broker: str) -> str:
    """String, the account whose credentials have carried a broker's tick stream last."""
    return f"feed_account:{broker}"


def lock_key(strategy_id: int) -> str:
    """String that shows who holds the strategy's order lock."""
    return f"lock_state:{strategy_id}"


def claim_key(strategy_id: int) -> str:
    """String, the id of the claim that was granted the lock: repeated, because its answer was lost, it is granted."""
    return f"lock_claim:{strategy_id}"


def user_key(user_id: int) -> str:
    """Hash of what other parts may know about a user."""
    return f"user:{user_id}"


def events_key(user_id: int) -> str:
    """Stream of what changed of a user's strategies."""
    return f"events:{user_id}"
