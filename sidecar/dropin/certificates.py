"""The certificates of marathon-lb's environment, put into the files that labels name."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sidecar.desired.certificates import PemError, read_pem
from sidecar.errors import StateFolderError, UsageError
from sidecar.haproxy.files import write_atomically
from sidecar.haproxy.self_signed import make_self_signed

FOLDER = "/etc/ssl"
DEFAULT = "cert.pem"
FIRST = "HAPROXY_SSL_CERT"
MORE = tuple(f"{FIRST}{number}" for number in range(101))


def certificate_paths(
    given: Sequence[str], environ: Mapping[str, str], folder: str = FOLDER
) -> tuple[tuple[str, ...], str]:
    """The paths for `--ssl-certs`, and why none could be had at the place that labels know.

    What is in the variables is written to files in `folder`. Without them and without a path, the
    certificate that is there is served, or one that is made there now.

    Raises:
        UsageError: a variable holds no certificate, or cannot be written.
    """
    place = Path(folder) / DEFAULT
    if environ.get(FIRST):
        names = (FIRST, *(name for name in MORE if environ.get(name)))
        written = (_written(name, environ[name], Path(folder)) for name in names)
        return tuple(dict.fromkeys((*given, *map(str, written)))), ""
    if given:
        return tuple(given), ""
    trouble = "" if _is_served(place) else _make(place)
    return ((), trouble) if trouble else ((str(place),), "")


def _written(name: str, text: str, folder: Path) -> Path:
    number = name.removeprefix(FIRST)
    place = folder / f"cert{number}.pem"
    try:
        # As `echo -e` has it: two characters stand for a newline, where a variable can hold none.
        pem = read_pem(text.replace("\\r", "").replace("\\n", "\n"))
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, pem.text)
    except PemError as error:
        raise UsageError(f"{name} cannot be served: {error}") from None
    except (StateFolderError, OSError) as error:
        raise UsageError(
            f"{name} cannot be put into the file {place}: {_why(error)}; MLB_SSL_DIR names another"
            " folder for it"
        ) from error
    return place


def _is_served(place: Path) -> bool:
    """Whether a certificate with its key is there already."""
    try:
        read_pem(place.read_text("ascii", "replace"))
    except (OSError, PemError):
        return False
    return True


def _make(place: Path) -> str:
    """Make a self-signed one there; why that cannot be, or nothing.

    Something else that is there, such as a system's bundle of authorities, is left alone.
    """
    if place.exists():
        return f"no certificate of ours at {place}: there is something else"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, make_self_signed("marathon-lb-sidecar"))
    except (StateFolderError, OSError) as error:
        return (
            f"no certificate is made at {place}: {_why(error)}; one in the state folder is served."
            " MLB_SSL_DIR names another folder, --ssl-certs certificates of yours"
        )
    return ""


def _why(error: Exception) -> str:
    """The system's words alone: what to do about it is another thing than in the state folder."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return (cause.strerror if isinstance(cause, OSError) else "") or str(error)
