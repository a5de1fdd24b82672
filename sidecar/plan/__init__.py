"""How to get from what HAProxy says to what is desired.

Pure: values in, steps and reload reasons out.
"""
