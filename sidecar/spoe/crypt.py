"""The system's crypt(3), which knows the hashes that HAProxy's userlists know.

Python has had no module for it since 3.13; libcrypt is called as it is, outside of Python's lock.
"""

import ctypes
import ctypes.util
import hmac
import threading
from collections.abc import Iterator

from sidecar.desired.hashes import is_cheap

_NAMES = ("libcrypt.so.1", "libcrypt.so.2")
_ROOM = 262_144  # bytes; glibc's `struct crypt_data` has 131,232, libxcrypt's 32,768
_LONGEST_PASSWORD = 512  # libxcrypt's own limit
_FAILED = b"*"


class CryptUnavailableError(Exception):
    """The system has no libcrypt that can be called."""


class Crypt:
    """Checks passwords; each thread has room of its own."""

    def __init__(self) -> None:
        """Find the library.

        Raises:
            CryptUnavailableError: there is none.
        """
        self._crypt = _library().crypt_r
        self._crypt.restype = ctypes.c_char_p
        self._crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
        self._rooms = threading.local()

    def matches(self, password: bytes, expected: str) -> bool:
        """Whether a password has this hash; takes as long as the kind of hash asks for.

        A hash of a kind that the library does not know matches nothing; neither does one that asks
        for too much work, nor a password that the library would cut off.
        """
        if not is_cheap(expected):
            return False
        if len(password) > _LONGEST_PASSWORD or b"\0" in password:
            return False
        made = self._crypt(password, expected.encode(), self._room())
        if made is None or made.startswith(_FAILED):
            return False
        return hmac.compare_digest(made, expected.encode())

    def _room(self) -> ctypes.Array[ctypes.c_char]:
        room: ctypes.Array[ctypes.c_char] | None = getattr(self._rooms, "room", None)
        if room is None:
            room = ctypes.create_string_buffer(_ROOM)
            self._rooms.room = room
        return room


def _names() -> Iterator[str]:
    yield from _NAMES
    # Asked last: it starts programs to find out.
    if found := ctypes.util.find_library("crypt"):
        yield found


def _library() -> ctypes.CDLL:
    for name in _names():
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if hasattr(library, "crypt_r"):
            return library
    raise CryptUnavailableError("there is no libcrypt with crypt_r on this system")
