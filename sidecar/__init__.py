"""A sidecar that turns Marathon's events into HAProxy Runtime API commands, without reloads."""
