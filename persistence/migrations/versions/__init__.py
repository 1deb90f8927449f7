"""The migrations, in their order. A migration imports `persistence.errors` alone: models change, it does not."""
