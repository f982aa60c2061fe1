"""How people are told: sinks, and the outbox that loses nothing.

- `base`: what the author of a sink has to know
- `outbox`, `courier`, `retry`, `deliverer`: rows, one destination, its pauses, all destinations
- `tables`, `database`: where the rows are
- `destinations`, `destination_settings`, `secret`: what the configuration says
- `ocsf`, `slack_message`: findings for machines and for people; `evidence`, `text` help them
- `file`, `splunk_hec`, `slack`: the sinks; `network`, `memory` help them
"""
