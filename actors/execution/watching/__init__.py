"""The watcher of one account: compares what the broker shows with what our runs know.

May import `actors.execution.account`, the ports and the domain.
"""
