"""The maps and the certificates as files: what the next process starts with."""

from collections.abc import Mapping

from sidecar.desired.certificates import CRT_LIST
from sidecar.desired.model import Desired, TraitMap
from sidecar.plan.maps import encode_entries
from sidecar.plan.observed import BACKEND_LEDGER, CERTIFICATE_LEDGER, SERVER_LEDGER, LedgerRow
from sidecar.plan.pools import spare_name
from sidecar.plan.servers import ledger_key
from sidecar.plan.traits import encode_traits


def certificate_texts(desired: Desired, state_dir: str) -> dict[str, str]:
    """The certificates and the list of those that port 443 serves, by file name."""
    texts = {each.file: each.text for each in desired.certificates}
    listed = [f"{state_dir}/{each.file}\n" for each in desired.certificates if each.listed]
    return {**texts, CRT_LIST: "".join(listed)} if listed else texts


def map_texts(desired: Desired, pools: Mapping[str, int]) -> dict[str, str]:
    """The text of each map by file name; `pools` are the sizes of the spares' pools."""
    places = {name: str(name) for name in desired.backends}
    texts = {
        name.value: _map_text(encode_entries(entries, places))
        for name, entries in desired.maps.items()
    }
    for trait in TraitMap:
        texts[trait.value] = _map_text(encode_traits(desired.backends, places, trait))
    rows = {
        str(name): LedgerRow(name, backend.app_ids, backend.port, backend.made_from).encode()
        for name, backend in desired.backends.items()
    }
    for archetype, size in pools.items():
        free = LedgerRow(None, (), 0, archetype).encode()
        rows.update((spare_name(archetype, number + 1), free) for number in range(size))
    texts[BACKEND_LEDGER] = _map_text(rows)
    texts[CERTIFICATE_LEDGER] = _map_text({each.file: each.digest for each in desired.certificates})
    texts[SERVER_LEDGER] = _map_text(
        {
            ledger_key(name, server.name): server.spec
            for name, backend in desired.backends.items()
            for server in backend.servers
        }
    )
    return texts


def _map_text(entries: Mapping[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))
