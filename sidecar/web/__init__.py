"""What the sidecar answers over HTTP: scripts on its unix socket, an operator on a port."""
