"""The HTTP API: commands, questions, and the feed for who has no NATS."""
