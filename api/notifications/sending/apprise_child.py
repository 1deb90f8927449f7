"""One message by Apprise, in a process of its own: `python -m api.notifications.sending.apprise_child`.

A user names the address, and Apprise looks its host up itself. So every connection of this process is looked at in the
instant in which it is made, whatever library makes it: only public addresses, no socket of this machine, no program. It
has no environment of ours and ends with its one message. Standard input has a JSON object, standard output another.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from api.notifications.sending.public_hosts import is_public

_PROGRAMS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn"}
)
_CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"})
_MOST_TARGETS = 1


class _Guard:
    """An audit hook (PEP 578), which cannot be taken out again. `refused`: something was."""

    def __init__(self, may_reach: Callable[[str], bool]) -> None:
        self._may_reach, self.refused = may_reach, False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PROGRAMS or (event in _CONNECTIONS and not self._may_connect(arguments)):
            self.refused = True
            raise PermissionError(f"{event} is not allowed here")

    def _may_connect(self, arguments: tuple[Any, ...]) -> bool:
        address = arguments[1] if len(arguments) > 1 else None
        if not isinstance(address, tuple) or len(address) < 2 or not isinstance(address[0], str):
            return False
        return self._may_reach(address[0])


def main(may_reach: Callable[[str], bool] = is_public) -> None:
    """Read what to do, do it and say what has come of it. `may_reach`: which IP addresses may be connected to."""
    sys.stdout.write(json.dumps({"outcome": _done(json.load(sys.stdin), may_reach)}) + "\n")


def _done(asked: dict[str, Any], may_reach: Callable[[str], bool]) -> str:
    import apprise  # takes a second, and is not loaded by the API

    asset = apprise.AppriseAsset(storage_mode=apprise.PersistentStoreMode.MEMORY, secure_logging=True)
    asset.async_mode = False
    address = apprise.Apprise.instantiate(asked["url"], asset=asset, suppress_exceptions=True)
    if address is None or len(address) > _MOST_TARGETS:
        return "no_address"
    if asked["body"] is None:
        return "address"
    guard = _Guard(may_reach)
    sys.addaudithook(guard)
    notifier = apprise.Apprise(asset=asset)
    notifier.add(address)
    sent = bool(notifier.notify(body=asked["body"], title=asked["title"], body_format=apprise.NotifyFormat.TEXT))
    if guard.refused:
        return "not_public"
    return "sent" if sent else "not_sent"


if __name__ == "__main__":
    main()
