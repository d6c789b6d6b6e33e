"""Persistence module for the library `eventsourcing`: PERSISTENCE_MODULE=infra.jetstream keeps events on NATS JetStream.

One stream per application and purpose, one subject per event; the same append and read code as our own journal, behind
a synchronous face. How to use it: docs/eventsourcing.md. Why it is so: docs/adr/0006-recorders-on-jetstream.md.
"""

from infra.jetstream.factory import Factory

__all__ = ["Factory"]  # the library looks for the one factory class that the module holds
