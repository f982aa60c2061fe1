"""Keeps pytest away from programs that run in other environments."""

collect_ignore_glob = ["programs/*"]
