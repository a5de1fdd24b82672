"""`mlb-sidecar sse` and `mlb-sidecar poll`: marathon-lb's command line, carried out by ours."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import structlog

from sidecar import app, inspection
from sidecar.dropin import surroundings
from sidecar.dropin.certificates import FOLDER as CERTIFICATES
from sidecar.dropin.certificates import certificate_paths
from sidecar.dropin.manual import chapters, manual
from sidecar.dropin.translation import Translation, translate
from sidecar.errors import UsageError
from sidecar.haproxy.proxies import Proxies
from sidecar.limits import check
from sidecar.settings import Settings

log = structlog.get_logger("sidecar")

_DEV_LOG = "/dev/log"
_OPTIONS = "HAPROXY_GLOBAL_DEFAULT_OPTIONS"

Reader = Callable[[Sequence[str], Mapping[str, Any]], Settings]
"""Reads our own flags and variables, on top of other defaults; it sets up the log too."""


def carry_out(mode: str, words: Sequence[str], read: Reader, say: Callable[[str], object]) -> None:
    """Do what marathon-lb would do with these words.

    Raises:
        SidecarError: they cannot be used, or the main job cannot be done.
    """
    asked = translate(mode, words, os.environ)
    if asked.longhelp:
        say(manual(chapters()))
        return
    settings = read(asked.arguments, _defaults(asked))
    if not settings.group:
        raise UsageError("no group is given; use --group NAME, or --group '*' for all apps")
    for note in asked.notes:
        log.info("a flag means nothing here", flag=note)
    if settings.default_options == os.environ.get(_OPTIONS):
        Proxies.read(settings.default_options, "", source=_OPTIONS)
    if asked.dry:
        rendered, problems = inspection.rendered(settings, skeleton=False)
        say(rendered.text.rstrip("\n"))
        for problem in problems:
            tell, what = (log.info, "notice") if problem.notice else (log.warning, "problem")
            tell(what, app=problem.app_id, field=problem.field, reason=problem.reason)
        return
    app.run(_prepared(settings, asked))


def _defaults(asked: Translation) -> Mapping[str, Any]:
    """The defaults, with what only a look around can tell."""
    defaults = {"haproxy_log": _DEV_LOG if Path(_DEV_LOG).is_socket() else "", **asked.defaults}
    if any(word.startswith("--auth-credentials") for word in asked.arguments):
        return defaults
    found = surroundings.vault_credentials(os.environ)
    # As in the original, the variables of Marathon's own user win over Vault.
    return {"auth_credentials": found, **defaults} if found else defaults


def _prepared(settings: Settings, asked: Translation) -> Settings:
    """Make the places that others know; settings without those that cannot be had."""
    check(settings)
    troubles = [*surroundings.set_kernel_parameters(os.environ)]
    if settings.second_socket:
        # An HAProxy beside us has folders of its own, where nobody knows what can be had.
        trouble = "" if settings.beside else surroundings.usable_socket(settings.second_socket)
        troubles.append(trouble)
        if trouble or settings.beside:
            settings = attrs.evolve(settings, second_socket="")
    paths, trouble = certificate_paths(
        settings.ssl_certs, os.environ, os.environ.get("MLB_SSL_DIR") or CERTIFICATES
    )
    settings = attrs.evolve(settings, ssl_certs=paths)
    troubles.append(trouble)
    troubles.append(surroundings.link_configuration(asked.config_link, settings.state_dir))
    for trouble in filter(None, troubles):
        log.warning("not as it was for marathon-lb", reason=trouble)
    return settings
