"""Tripmeter on Kafka: topics, connections, and the processes around the same pure core.

`settings` names the table `[kafka]`, `topics` every topic, `clients` how to connect, `installation`
what all processes must agree on. Libraries of Kafka are imported only where they are used.
"""
