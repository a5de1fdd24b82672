from types import MappingProxyType

import attrs
import pytest

from sidecar.errors import ReplyError
from sidecar.haproxy.replies import (
    CertificateReply,
    Processes,
    ReloadReply,
    ServerRow,
    Worker,
    read_backends,
    read_certificate,
    read_certificates,
    read_crt_list,
    read_environment,
    read_info,
    read_map,
    read_processes,
    read_reload,
    read_servers,
)

SERVERS_HEADER = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight"
    " srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health"
    " srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord"
    " srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"
)
SERVERS = (
    SERVERS_HEADER
    + "3 app 1 s1 127.0.0.1 2 0 1 1 6 6 3 4 6 0 0 0 - 18732 - 0 8080 - - 0\n"
    + "3 app 7 s2 2001:db8::1 0 1 10 12 6 1 0 2 0 0 0 1 - 31000 - 0 0 - - 0"
)
UNKNOWN_2_8 = "Unknown command: 'add', but maybe one of the following ones is a better match:\n  x"
PROC_2_8 = """\
#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
4735            master          3 [failed: 1]   0d00h02m00s     2.8.25-5cf5d0683
# workers
4969            worker          1               0d00h00m18s     2.8.25-5cf5d0683
# old workers
4738            worker          3               0d00h01m38s     2.8.25-5cf5d0683
4739            worker          [was: 1]        2               0d00h01m38s     2.0.1
# programs
"""


def test_servers_are_read_by_the_names_of_the_columns() -> None:
    """Each value comes from the column that the header names, IPv6 included."""
    first, second = read_servers(SERVERS)

    assert first == ServerRow(
        backend="app",
        name="s1",
        id=1,
        address="127.0.0.1",
        port=18732,
        operational=2,
        admin=0,
        weight=1,
        check_status=6,
        check_state=6,
        check_port=8080,
    )
    assert (second.address, second.port, second.admin) == ("2001:db8::1", 31000, 1)
    assert (second.weight, second.operational) == (10, 0)


def test_another_order_of_columns_gives_the_same_servers() -> None:
    """A version that inserts or moves columns is read as well."""
    rows = [line.split(" ") for line in SERVERS.splitlines()[1:]]
    header = rows[0][1:]
    moved = [[*header[::-1], "new"], *([*row[::-1], "9"] for row in rows[1:])]

    text = "1\n# " + "\n".join(" ".join(row) for row in moved)

    assert read_servers(text) == read_servers(SERVERS)


@pytest.mark.parametrize(
    ("admin", "states"),
    [
        pytest.param(0, (False, False, True), id="ready"),
        pytest.param(0x01, (True, False, False), id="forced maint"),
        pytest.param(0x04, (False, False, True), id="was disabled in the file, enabled since"),
        pytest.param(0x08, (False, True, False), id="forced drain"),
        pytest.param(0x09, (True, False, False), id="maint wins over drain"),
        pytest.param(0x20, (True, False, False), id="maint for want of an address"),
    ],
)
def test_the_admin_state_is_maint_drain_or_ready(
    admin: int, states: tuple[bool, bool, bool]
) -> None:
    """Exactly one of the three holds for every value."""
    row = attrs.evolve(read_servers(SERVERS)[0], admin=admin)

    assert (row.in_maint, row.in_drain, row.ready) == states


def test_no_servers_are_an_empty_tuple() -> None:
    """A header alone is a good reply."""
    assert read_servers(SERVERS_HEADER) == ()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("Can't find backend.", id="refusal"),
        pytest.param(SERVERS.replace("1\n", "2\n", 1), id="another version"),
        pytest.param(SERVERS.replace("srv_addr", "srv_address"), id="a column is missing"),
        pytest.param(SERVERS[:-30], id="half a row"),
        pytest.param(SERVERS.replace("31000", "x"), id="no number"),
    ],
)
def test_servers_of_an_unknown_shape_raise(text: str) -> None:
    """What cannot be read is never half a list; the error names the command."""
    with pytest.raises(ReplyError, match="show servers state"):
        read_servers(text)


def test_info_is_a_mapping() -> None:
    """Values may be empty and may hold colons."""
    info = read_info("Name: HAProxy\nVersion: 2.8.25\nnode: a:b\ndescription: \n")

    assert info == {"Name": "HAProxy", "Version": "2.8.25", "node": "a:b", "description": ""}
    assert isinstance(info, MappingProxyType)


@pytest.mark.parametrize("text", ["", UNKNOWN_2_8, "Permission denied"])
def test_info_of_an_unknown_shape_raises(text: str) -> None:
    """A refusal is not an empty mapping."""
    with pytest.raises(ReplyError, match="show info"):
        read_info(text)


def test_an_environment_value_may_have_several_lines() -> None:
    """A line without an equals sign belongs to the value before it."""
    environment = read_environment("A=1\nHAPROXY_CFGFILES=/a=b\nLONG=one\ntwo\n")

    assert environment == {"A": "1", "HAPROXY_CFGFILES": "/a=b", "LONG": "one\ntwo"}


def test_an_environment_of_an_unknown_shape_raises() -> None:
    """A refusal is not a variable."""
    with pytest.raises(ReplyError, match="show env"):
        read_environment("Permission denied")


def test_backends_keep_their_order() -> None:
    """The header is no backend."""
    assert read_backends("# name\nspare\napp\n") == ("spare", "app")
    assert read_backends("# name") == ()


@pytest.mark.parametrize("text", ["", "Unknown command", "# name\nPermission denied"])
def test_backends_of_an_unknown_shape_raise(text: str) -> None:
    """A refusal is not a backend."""
    with pytest.raises(ReplyError, match="show backend"):
        read_backends(text)


def test_map_values_keep_their_spaces() -> None:
    """The key ends at the first space, the value at the end of the line; duplicates stay."""
    text = "0x38e5fd00 /one app\n0x38e5fd90 k v  w \n0x38e5fda0 /one other\n0x1 novalue "

    assert read_map(text) == (("/one", "app"), ("k", "v  w "), ("/one", "other"), ("novalue", ""))
    assert read_map("") == ()


def test_a_map_value_may_hold_a_line_separator_of_unicode() -> None:
    """Only a newline ends a line."""
    assert read_map("0x1 k a\u2028b\x0bc\n0x2 l m") == (("k", "a\u2028b\x0bc"), ("l", "m"))


def test_an_unknown_map_raises_with_the_words_of_haproxy() -> None:
    """It is no entry whose key is `map`."""
    with pytest.raises(ReplyError, match="Unknown map identifier"):
        read_map("Unknown map identifier. Please use #<id> or <file>.")


def test_processes_are_the_master_its_workers_and_the_old_ones() -> None:
    """Reload counters and pids are read from their sections."""
    assert read_processes(PROC_2_8) == Processes(
        master_pid=4735,
        reloads=3,
        failed_reloads=1,
        workers=(Worker(pid=4969, reloads=1, version="2.8.25-5cf5d0683"),),
        old_workers=(
            Worker(pid=4738, reloads=3, version="2.8.25-5cf5d0683"),
            Worker(pid=4739, reloads=2, version="2.0.1"),
        ),
    )


def test_processes_without_a_worker_are_read() -> None:
    """HAProxy 3.2 lists the survivor of a failed reload as an old worker only."""
    text = PROC_2_8.replace(
        "4969            worker          1               0d00h00m18s     2.8.25-5cf5d0683\n", ""
    )

    assert read_processes(text).workers == ()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(UNKNOWN_2_8, id="refusal"),
        pytest.param(PROC_2_8[:180], id="half"),
        pytest.param(PROC_2_8.partition("\n")[0], id="no master"),
    ],
)
def test_processes_of_an_unknown_shape_raise(text: str) -> None:
    """Nothing is guessed about processes."""
    with pytest.raises(ReplyError, match="show proc"):
        read_processes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ReloadReply(succeeded=None, log="")),
        ("\n", ReloadReply(succeeded=None, log="")),
        ("Success=1", ReloadReply(succeeded=True, log="")),
        ("Success=1\n--\n[NOTICE] a\nb\n\n", ReloadReply(succeeded=True, log="[NOTICE] a\nb")),
        ("Success=0\n--\n[ALERT] c", ReloadReply(succeeded=False, log="[ALERT] c")),
    ],
)
def test_a_reload_succeeded_failed_or_did_not_say(text: str, expected: ReloadReply) -> None:
    """An empty answer is neither success nor failure."""
    assert read_reload(text) == expected


@pytest.mark.parametrize("text", ["Success=2", "Success=10", "Permission denied", "Succ"])
def test_a_reload_answer_of_an_unknown_shape_raises(text: str) -> None:
    """Half an answer is no success."""
    with pytest.raises(ReplyError, match="reload"):
        read_reload(text)


# --- certificates ---


def test_loaded_certificates_and_changes_under_way_are_told_apart() -> None:
    """A change under way stands in a part of its own."""
    text = "# transaction\n*/s/b.pem\n# filename\n/s/a.pem\n/s/b.pem"

    assert read_certificates(text) == (("/s/a.pem", "/s/b.pem"), ("/s/b.pem",))
    assert read_certificates("# filename") == ((), ())


def test_a_list_of_certificates_is_read_without_what_follows_their_paths() -> None:
    """Options and names; a list that is not loaded has none."""
    text = "# /s/list.txt\n/s/a.pem\n/s/b.pem [verify none] one.test !two.test\n"

    assert read_crt_list(text) == ("/s/a.pem", "/s/b.pem")
    assert read_crt_list("didn't find the specified filename") == ()
    assert read_crt_list("") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "Filename: /s/a.pem\nStatus: Used\nSerial: 53\nSHA1 FingerPrint: A4E4\n"
            "Subject: /CN=one.test: x\nOCSP Response Key: ",
            CertificateReply("A4E4", used=True),
            id="used",
        ),
        pytest.param(
            "Filename: /s/a.pem\nOption: jwt off\nStatus: Unused\nSHA1 FingerPrint: A4E4",
            CertificateReply("A4E4", used=False),
            id="unused",
        ),
        pytest.param(
            "Filename: /s/a.pem\nStatus: Empty\nOCSP Response Key: ",
            CertificateReply("", used=False),
            id="empty",
        ),
    ],
)
def test_a_certificate_is_known_by_its_fingerprint(text: str, expected: CertificateReply) -> None:
    """Of 2.6 and of 3.4."""
    assert read_certificate(text) == expected


def test_a_certificate_that_is_not_there_is_no_reply_that_we_know() -> None:
    """Somebody removed it between two commands; the next look sees it."""
    with pytest.raises(ReplyError):
        read_certificate("Can't display the certificate: Not found or the certificate is a bundle!")
