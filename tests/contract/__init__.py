"""What a port promises, on its fake and on the real thing, so that a fake cannot promise more or less.

Left out, because their real side needs Ray: `OrderExecution`, `PriceWatch`, `TickSource`, `FeedTicks`, `TickReceiver`,
`PriceMirror`, `StrategyEvents`, `AttemptLog` and `StrategyEngine`, which call another actor. The acceptance tests run
them on the whole stack. `OrderGateways` is left out too: its fake has one gateway for every account.
"""
