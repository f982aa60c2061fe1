"""Third-party senders run for real: their environments, their processes, and a model to call."""
