#!/bin/sh
# A Sentinel that watches REDIS_MASTER under the name `longwave`. It writes what it learns into its configuration, so that is
# in memory; three of them find it again when one starts anew.
set -eu
umask 077
cat >/tmp/sentinel.conf <<CONF
port 26379
dir /tmp
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $REDIS_NAME
sentinel monitor longwave $REDIS_MASTER 6379 2
sentinel auth-pass longwave $REDIS_PASSWORD
sentinel down-after-milliseconds longwave 1000
sentinel failover-timeout longwave 5000
CONF
exec redis-server /tmp/sentinel.conf --sentinel
