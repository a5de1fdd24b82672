"""What HAProxy should look like, computed from Marathon's apps.

Pure: no I/O, no clock, and no label text can make it raise.
"""
