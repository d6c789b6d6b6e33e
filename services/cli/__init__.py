"""The `ektp` command: what a desk officer, an auditor or an operator types."""
