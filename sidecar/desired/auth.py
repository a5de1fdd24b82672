"""Who may come in, as the label AUTH says it."""

import hashlib

import attrs


@attrs.frozen
class Auth:
    """Who may come in: the realm to show, a user, and the crypt(3) hash of the password."""

    realm: str
    user: str
    password_hash: str = attrs.field(repr=False)

    @property
    def key(self) -> str:
        """Says which of all it is, and nothing else."""
        text = f"{self.realm}:{self.user}:{self.password_hash}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]
