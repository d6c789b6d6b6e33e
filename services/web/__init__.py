"""The pages: a citizen's case, the operations board, an auditor's case. Made on the server; they work without JavaScript."""
