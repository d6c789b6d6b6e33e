"""What it runs on: embedded NATS, the journal on JetStream, keys, database, the data folder."""
