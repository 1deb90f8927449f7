"""What commands share: the deployment that they join, what they say of failures, and what they find.

May import what `config.commands` may, but no command.
"""
