"""What is known: one file per view, and one runner for all. Can be thrown away and rebuilt from the journal."""
