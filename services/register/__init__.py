"""Register books: the paper history as CSV, how its rows become events, and made-up books that match the case study."""
