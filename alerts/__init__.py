"""How people are told: sinks, and the outbox that loses nothing."""
