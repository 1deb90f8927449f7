"""Polls one address at a steady rate until it is stopped.

python -m benchmarks.poller URL AUTHORIZATION PER_SECOND
"""

import sys
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit


def main() -> None:
    """A poll that is late asks at once, so the rate holds on the average."""
    target, authorization, per_second = sys.argv[1], sys.argv[2], float(sys.argv[3])
    url = urlsplit(target)
    http = HTTPConnection(url.netloc, timeout=10)
    due = time.monotonic()
    while True:
        http.request("GET", url.path, headers={"Authorization": authorization})
        answer = http.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        due += 1 / per_second
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
