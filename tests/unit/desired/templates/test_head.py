from sidecar.desired.templates.head import Head, read_head

TEXT = """\
global
  # a comment
  log /dev/log local0
  maxconn 50000
  daemon
  stats socket /var/run/haproxy/socket expose-fd listeners
  server-state-file global
  lua-load /marathon-lb/getpids.lua
  lua-load /etc/mine.lua
defaults
  load-server-state-from-file global
  mode http
  timeout client 5m
listen stats
  bind 0.0.0.0:9090
  stats enable
listen mine
  bind :8404
  stats enable
userlist ops
  user me password x
"""


def test_what_the_sidecar_lives_by_is_left_to_it() -> None:
    """Its sockets, its Lua files, its statistics; and no server state of old."""
    head = read_head(TEXT, stats_port=9090)

    assert head.lines == ("  log /dev/log local0", "  maxconn 50000", "  lua-load /etc/mine.lua")
    assert head.defaults == ("  timeout client 5m",)
    assert head.maxconn == 50000
    assert "0.0.0.0:9090" not in head.sections
    assert head.sections.splitlines()[0] == "defaults"
    assert "listen mine\n  bind :8404" in head.sections
    assert head.sections.endswith("userlist ops\n  user me password x")


def test_statistics_elsewhere_are_somebody_elses() -> None:
    """They stay."""
    assert "0.0.0.0:9090" in read_head(TEXT, stats_port=9999).sections
    assert (
        "listen old 0.0.0.0:9090"
        not in read_head("listen old 0.0.0.0:9090\n stats enable", stats_port=9090).sections
    )


def test_lines_are_found_by_their_first_words() -> None:
    """Whatever quotes they have."""
    head = read_head(TEXT, stats_port=9090)

    assert head.has("log", "/dev/log")
    assert not head.has("log", "/dev")
    assert read_head("", stats_port=9090) == Head()
