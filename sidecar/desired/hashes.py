"""Hashes of passwords as crypt(3) makes them: whether a text is one, and how much work it asks for.

The work is in the text: rounds, or how much memory. Whoever checks a password does it, so a label
that asks for minutes would keep from everybody else who does the same.
"""

import re

_KINDS = re.compile(r"\$(1|5|6|7|2[abxy]|y|gy|sha1|md5)[$,].+|[A-Za-z0-9./]{13}|_[A-Za-z0-9./]{19}")
_MOST_ROUNDS = 1_000_000  # a fifth of a second; 5,000 is usual
_MOST_SUN_ROUNDS = 500_000
_HIGHEST_COST = 14  # of bcrypt: about a second; 10 to 12 is usual
_MOST_MEMORY = 64 << 20  # yescrypt's default is 16 MB
_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BLOCK = 128
_SHA = re.compile(r"\$[56]\$rounds=(\d+)\$.*")
_SHA1 = re.compile(r"\$sha1\$(\d+)\$.*")
_SUN = re.compile(r"\$md5[,$]rounds=(\d+)\$.*")
_BCRYPT = re.compile(r"\$2[abxy]\$(\d+)\$.*")
_YESCRYPT = re.compile(r"\$g?y\$j(.)(.)\$.*")
_SCRYPT = re.compile(r"\$7\$(.)U[.]{4}/[.]{4}.*")
_DES = re.compile(r"_[A-Za-z0-9./]{19}")
HOW_TO_MAKE_ONE = "`openssl passwd -6` makes one (quote it: a shell takes $ for its own)"


def hash_problem(password_hash: str) -> str:
    """Why no password can match; empty where one may. The text is never said back."""
    if password_hash.startswith("$apr1$"):
        return f"nobody can come in: crypt(3) does not know Apache's own $apr1$; {HOW_TO_MAKE_ONE}"
    if not _KINDS.fullmatch(password_hash):
        return f"nobody can come in: the password must be a hash of crypt(3); {HOW_TO_MAKE_ONE}"
    if not is_cheap(password_hash):
        return (
            "nobody can come in: checking a password would take too long; its hash may ask for"
            f" {_MOST_ROUNDS:,} rounds, a bcrypt cost of {_HIGHEST_COST}, or 64 MB of memory"
            f" at most; {HOW_TO_MAKE_ONE}"
        )
    return ""


def is_cheap(password_hash: str) -> bool:
    """Whether a password is checked within about a second, as far as the text says it."""
    for form, most in (
        *((_SHA, _MOST_ROUNDS), (_SHA1, _MOST_ROUNDS), (_SUN, _MOST_SUN_ROUNDS)),
        (_BCRYPT, _HIGHEST_COST),
    ):
        if match := form.fullmatch(password_hash):
            return int(match[1]) <= most
    if password_hash.startswith(("$y$", "$gy$")):
        match = _YESCRYPT.fullmatch(password_hash)
        return match is not None and _memory(_digit(match[1]) + 1, _digit(match[2]) + 1)
    if password_hash.startswith("$7$"):
        match = _SCRYPT.fullmatch(password_hash)
        return match is not None and _memory(_digit(match[1]), _digit("U"))
    # The fourth digit of its rounds is the highest.
    return _DES.fullmatch(password_hash) is None or password_hash[4] in "./01"


def _memory(log_of_blocks: int, size: int) -> bool:
    return (size * _BLOCK) << log_of_blocks <= _MOST_MEMORY


def _digit(character: str) -> int:
    return _DIGITS.index(character) if character in _DIGITS else len(_DIGITS)
