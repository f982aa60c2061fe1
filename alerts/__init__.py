"""How people are told: sinks, and the outbox that loses nothing.

- `base`: what the author of a sink has to know
- `outbox`, `courier`, `retry`, `deliverer`: rows, one destination, its pauses, all destinations
- `tables`, `database`: where the rows are
- `destinations`, `routes`, `destination_settings`, `destination_base`, `secret`: who is told what
- `ocsf` (and `ocsf_fit`), `ecs`, `cef`: findings for machines; `evidence`, `text` help them
- `file`, `splunk_hec`, `elastic`, `syslog` (and `syslog_stream`), `sentinel`, `secops`,
  `otlp_logs`, `kafka_topic`, `s3`, `webhook`: sinks that take findings; `posting`, `network` help
- `slack`, `slack_message`, `pagerduty`: sinks that take incidents; `memory` helps them
"""
