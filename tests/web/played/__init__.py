"""The app in a real browser, at a server that a test plays: what a real one would do in ten minutes, or for 200."""
