#!/bin/sh
# Starts HAProxy in a container of its own, beside a sidecar that writes its configuration.
#
#   start-beside.sh DIR [HAPROXY]
#
# DIR is the state folder that both share. The sidecar runs with --state-dir DIR
# --haproxy-socket DIR/admin.sock --master-socket DIR/master.sock.
set -eu

if [ "$#" -lt 1 ]; then
    echo "usage: start-beside.sh DIR [HAPROXY]" >&2
    exit 2
fi
dir=$1
haproxy=${2:-haproxy}
deadline=${MLB_WAIT:-60}

if [ ! -d "$dir" ]; then
    echo "start-beside.sh: the folder $dir is not there; make it, or name the one that the sidecar" \
        "has by --state-dir" >&2
    exit 2
fi

waited=0
while [ ! -f "$dir/haproxy.cfg" ]; do
    if [ "$waited" -ge "$deadline" ]; then
        echo "start-beside.sh: $dir/haproxy.cfg did not appear within $deadline s;" \
            "is the sidecar running, with --state-dir $dir?" >&2
        exit 1
    fi
    [ "$waited" -gt 0 ] || echo "waiting for $dir/haproxy.cfg, at most $deadline s"
    sleep 1
    waited=$((waited + 1))
done

exec "$haproxy" -W -S "$dir/master.sock,mode,600,level,admin" -f "$dir/haproxy.cfg"
