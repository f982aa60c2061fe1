"""How people are told: sinks, and the outbox that loses nothing.

- `base`: what the author of a sink has to know
- `incident` (`_steps`, `_inhibition`, `_desk`), `silences`: what people handle, and decide
- `outbox` (`_queue`, `_counts`, `_lease`, `_log`), `courier`, `retry`, `deliverer`: rows, who may
  send, what became of them, one destination, its pauses, all destinations
- `store` (`_work`, `_query`, `_search`, `_trim`, `_engine`), `tables`: where all of it is kept
- `destinations`, `routes`, `destination_settings`, `destination_base`, `secret`: who is told what
- `ocsf` (and `ocsf_fit`), `ecs`, `cef`: findings for machines; `evidence`, `text` help them
- `file`, `splunk_hec`, `elastic`, `syslog` (and `syslog_stream`), `sentinel`, `secops`,
  `otlp_logs`, `kafka_topic`, `s3`, `webhook`: sinks that take findings; `posting`, `network` help
- `slack`, `slack_message`, `pagerduty`: sinks that take incidents; `memory` helps them
"""
