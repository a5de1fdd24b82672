"""Marathon's side.

`schema`, `events` and `snapshot` are its words as values, and pure; `client`, `stream` and
`watcher` are the I/O that brings them. Nothing here knows of HAProxy.
"""
