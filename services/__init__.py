"""Who decides: per subject matter one pure file, and the apps around them (command service, HTTP, the `ektp` command)."""
