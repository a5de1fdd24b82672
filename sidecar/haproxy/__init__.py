"""HAProxy's side.

`commands`, `replies`, `config` and `capabilities` are its words, and pure; `runtime`, `master`,
`files` and `process` carry them. Nothing here knows of Marathon.
"""
