"""The guard: what the server's disk lost or changed is noticed before the server starts, and put back from the log."""
