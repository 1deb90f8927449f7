"""A panic with every store away, in every way: `make panics`. `make long` has a cut of it."""
