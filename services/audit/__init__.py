"""What auditors ask: is the trail whole, what proves an event, and what happened in a case."""
