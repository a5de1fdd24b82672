#!/bin/sh
# Whether a container does its job: code 0, or 1 with a sentence.
#
#   healthy.sh [haproxy|sidecar]
#
# Without a role it is the one that the container was started with. With HAProxy in it, the port of
# its statistics has to answer (MLB_STATS_PORT, MLB_BIND); a sidecar alone has to answer at its
# control socket in MLB_STATE_DIR.
set -eu

role=${1:-$(tr '\0' '\n' </proc/1/cmdline | sed -nE '/(mlb-entry|^\/marathon-lb\/run)$/{n;p;q;}')}

answers() {
    curl --silent --show-error --fail --output /dev/null --max-time 5 --noproxy '*' "$@"
}

if [ "$role" = sidecar ]; then
    socket=${MLB_STATE_DIR:-/marathon-lb}/sidecar.sock
    answers --unix-socket "$socket" http://localhost/healthz || {
        echo "no sidecar answers at $socket"
        exit 1
    }
else
    host=${MLB_BIND:-*}
    [ "$host" != '*' ] || host=127.0.0.1
    answers "http://$host:${MLB_STATS_PORT:-9090}/_haproxy_health_check" || {
        echo "HAProxy does not answer at $host:${MLB_STATS_PORT:-9090}"
        exit 1
    }
fi
