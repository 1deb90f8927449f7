"""The mechanisms of the order protocol, each with the change that takes it away, and the cases that must notice."""

from dataclasses import dataclass

from tests.chaos.special import AllDeadAtOnce, StoppedMeanwhile

SURGE = "surge of one account"


@dataclass(frozen=True)
class Edit:
    """One textual replacement in a file of the tree; `old` occurs there exactly once."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """A mechanism taken away. `expected`: beginnings of the sentences that mean just this; one of them must be said."""

    mechanism: str
    edits: tuple[Edit, ...]
    cases: tuple[str, ...]
    expected: tuple[str, ...]


_PLACER, _POLICY = "actors/execution/orders/placer.py", "actors/domain/orders/placement_policy.py"

MUTATIONS = (
    Mutation(
        "unique intent",
        (
            Edit(
                "actors/domain/strategy/machine.py",
                "            return exits.retry_exit(asked, now)\n    return asked, []\n",
                "            return exits.retry_exit(asked, now)\n"
                "        case Phase.EXITING:\n"
                "            own = exits.Order(asked.run.exit_intent(len(asked.exits) + 1, asked.open_quantity))\n"
                "            more = replace(asked, exits=(*asked.exits, own))\n"
                '            return exits.begin_exit(more, ExitCause.STOP, "STOP pressed")\n'
                "    return asked, []\n",
            ),
        ),
        (StoppedMeanwhile.CASE.name,),
        # where the account is read before the second order leaves, it is withheld, and the run never ends
        ("short", "stuck: the end of the run"),
    ),
    Mutation(
        "same tag",
        (
            Edit(
                _PLACER,
                "request = asyncio.ensure_future(self.account.gateway.place(command))",
                "fresh = replace(command.intent, tag=f'{command.intent.tag[:18]}{number:02d}')\n"
                "        request = asyncio.ensure_future(self.account.gateway.place(replace(command, intent=fresh)))",
            ),
        ),
        ("BUY accepted-drop", "BUY accepted-html-502"),
        ("duplicate",),
    ),
    Mutation(
        "look-up before retry",
        (
            Edit(
                _POLICY,
                "    return replace(tried, doubt_since=now, reads_absent=0), LookUpAt(now + policy.first_look)\n",
                "    return _send_again(tried, now + policy.resend_delay, policy)\n",
            ),
            Edit(_PLACER, "        if repeated:\n", "        if False:\n"),
        ),
        ("BUY accepted-drop", "BUY accepted-html-502"),
        ("duplicate",),
    ),
    Mutation(
        "claim",
        (
            Edit(
                "actors/execution/shell.py",
                "            verdict = await self._claim_in_time(command)\n",
                "            verdict = ClaimVerdict.GRANTED\n",
            ),
            Edit(
                "actors/execution/guarding/stop_guard.py",
                "            verdict: ClaimVerdict | None = await self._claims.foresee(command)\n",
                "            verdict: ClaimVerdict | None = ClaimVerdict.GRANTED\n",
            ),
        ),
        (AllDeadAtOnce.CASE.name,),
        ("duplicate", "short"),
    ),
    Mutation(
        "chase",
        (
            Edit(
                "actors/execution/orders/follower.py",
                "            if self.command.intent.side is Side.SELL and seen.stage is OrderStage.OPEN:\n",
                "            if False:\n",
            ),
        ),
        ("STOPLOSS park", "STOP partial-fill"),
        ("not flat", "open orders"),
    ),
    Mutation(
        "priority",
        (
            Edit(
                "actors/execution/account/budget.py",
                "heapq.heappush(self._waiting, (rank, self._arrivals, turn))",
                "heapq.heappush(self._waiting, (_Rank.BUY, self._arrivals, turn))",
            ),
        ),
        (SURGE,),
        ("priority",),
    ),
    Mutation(
        "budget",
        (
            Edit(
                "actors/execution/account/budget.py",
                "        if any(window.free(rank) <= 0 for window in windows):\n",
                "        if False:\n",
            ),
        ),
        (SURGE,),
        ("budget",),
    ),
)
