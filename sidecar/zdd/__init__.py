"""`mlb-sidecar zdd`: replaces an app by its next version, blue by green, without a lost request."""
