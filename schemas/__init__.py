"""The words every other package speaks: what happened, and what we think of it."""
