#!/bin/sh
# The image's entry point, in one of three roles.
#
#   sse|poll|run FLAGS            HAProxy and the sidecar together, as marathon-lb
#   haproxy                       HAProxy alone; it waits for a sidecar's configuration
#   sidecar sse|poll|run FLAGS    the sidecar alone, beside that HAProxy
#   status, maps, …               any other command of mlb-sidecar
#
# MLB_STATE_DIR (/marathon-lb) is the folder that two containers share. MLB_STOP_GRACE (10) is how
# many seconds open streams have after SIGTERM. MLB_HAPROXY names another program.
set -eu

state=${MLB_STATE_DIR:-/marathon-lb}
grace=${MLB_STOP_GRACE:-10}
program=${MLB_HAPROXY:-haproxy}
checker=/usr/local/lib/haproxy-to-check

refuse() {
    echo "mlb-entry: $*" >&2
    exit 2
}

check_program() {
    "$program" -v >/dev/null 2>&1 ||
        refuse "$program cannot be run here; if capabilities were dropped (--cap-drop)," \
            "give NET_BIND_SERVICE back (--cap-add NET_BIND_SERVICE)"
}

role_sidecar() {
    case ${1:-} in
    sse | poll | run) ;;
    *) refuse "the role sidecar is followed by sse, poll or run and their flags, not by '${1:-}'" ;;
    esac
    export MLB_STATE_DIR="$state"
    export MLB_HAPROXY_SOCKET="${MLB_HAPROXY_SOCKET:-$state/admin.sock}"
    export MLB_MASTER_SOCKET="${MLB_MASTER_SOCKET:-$state/master.sock}"
    # It only has configurations checked, which takes no capability.
    [ ! -x "$checker" ] || export MLB_HAPROXY="${MLB_HAPROXY:-$checker}"
    exec mlb-sidecar "$@"
}

# HAProxy takes SIGTERM as "at once"; SIGUSR1 is what lets open streams end. This shell stays to
# turn the one into the other.
role_haproxy() {
    [ $# -eq 0 ] || refuse "the role haproxy takes no arguments, but got '$1'"
    case $grace in
    '' | *[!0-9.]* | *.*.*) refuse "MLB_STOP_GRACE is '$grace', which is no number of seconds" ;;
    esac
    if [ ! -d "$state" ] || [ ! -w "$state" ]; then
        refuse "$state is no folder that user $(id -u) may write to; give the volume to that user"
    fi
    if [ -e "$state/haproxy.cfg" ] && [ ! -r "$state/haproxy.cfg" ]; then
        refuse "$state/haproxy.cfg belongs to another user than $(id -u); run both containers as one"
    fi
    # Its sockets would be taken away from it, and the sidecar would follow the one that came last.
    if socat -u OPEN:/dev/null "UNIX-CONNECT:$state/master.sock" 2>/dev/null; then
        refuse "an HAProxy runs with $state already; stop that one, or give this one another folder"
    fi
    check_program
    child='' timer='' stopping='' filter=''
    trap stop TERM INT
    hush "$state/.said-$$"
    start-beside.sh "$state" "$program" 2>&3 &
    child=$!
    exec 3>&-
    while :; do
        code=0
        wait "$child" || code=$?
        kill -0 "$child" 2>/dev/null || break # else a signal ended the wait
    done
    [ -z "$stopping" ] || code=0
    let_end "$filter"
    [ -z "$timer" ] || kill "$timer" 2>/dev/null || :
    exit "$code"
}

# When a worker ends, HAProxy tells of each of its proxies, hundreds of spares among them. Descriptor
# 3 leads through a filter to where its errors go otherwise.
hush() {
    exec 3>&2
    mkfifo -m 600 "$1" 2>/dev/null || return 0
    (trap '' TERM INT && exec 3>&- && exec grep --line-buffered -v '[Pp]roxy spare\..* stopped' <"$1" >&2) &
    filter=$!
    exec 3>"$1"
    rm -f "$1"
}

# What it still has to say takes a moment; an old worker may keep it for as long as it lives.
let_end() {
    tries=0
    while [ -n "$1" ] && kill -0 "$1" 2>/dev/null && [ "$tries" -lt 10 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

stop() {
    trap '' TERM INT
    stopping=yes
    [ -n "$child" ] || exit 0
    echo "stopping HAProxy; open streams have $grace s"
    kill -USR1 "$child" 2>/dev/null || :
    stop_later &
    timer=$!
}

stop_later() {
    nap=''
    trap '[ -z "$nap" ] || kill "$nap"; exit' TERM
    sleep "$grace" &
    nap=$!
    wait "$nap"
    kill -TERM "$child" 2>/dev/null || :
}

# Somebody has to reap what ends here, also where this file is named as marathon-lb's
# /marathon-lb/run. -s: tini does so where it is not process 1 too, as in a pod.
parent=''
read -r parent 2>/dev/null <"/proc/$PPID/comm" || :
if [ "$parent" != tini ] && command -v tini >/dev/null && command -v mlb-entry >/dev/null; then
    exec tini -s -- mlb-entry "$@"
fi

role=${1:-}
case $role in
haproxy | sidecar)
    shift
    "role_$role" "$@"
    ;;
sse | poll | run)
    check_program
    exec mlb-sidecar "$@"
    ;;
demo | explain | maps | plan | release | render | status | zdd | -h | --help | --version)
    exec mlb-sidecar "$@"
    ;;
*)
    refuse "'$role' is no role; give sse, poll or run with their flags, haproxy," \
        "sidecar with one of the first three, or --help"
    ;;
esac
