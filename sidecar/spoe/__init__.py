"""The agent that HAProxy asks at request time, when its maps cannot answer.

`view`, `decisions` and `pages` are pure; `agent` is the only asyncio of the sidecar.
"""
