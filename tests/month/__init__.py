"""A month of three traders in minutes: the clock of the whole stack jumps from one moment that matters to the next."""
