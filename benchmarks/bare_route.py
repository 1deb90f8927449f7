"""A FastAPI application with one route and one HGETALL: `python -m benchmarks.bare_route PORT REDIS_URL`."""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

from actors.runtime.hosts.process_tuning import Niceness, tune
from persistence.mirror.mirror import open_redis

app = FastAPI()
redis = open_redis(sys.argv[2])


@app.get("/status/{strategy_id}")
async def status(strategy_id: int) -> dict[str, Any]:
    """The hash as it is."""
    return dict(await redis.hgetall(f"runtime:{strategy_id}"))


if __name__ == "__main__":
    tune(Niceness.API)  # as the product's API
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_config=None)
