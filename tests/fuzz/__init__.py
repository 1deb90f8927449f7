"""Schemathesis against the served API: its settings (`schemathesis.toml`) and what it must know about us (`hooks`)."""

PASSWORD = "not the one of the examples"  # which would delete the tenants' accounts
