#!/bin/sh
# Redis with its password from REDIS_PASSWORD, which no list of processes shows. With REDIS_NAME and REDIS_MASTER it is a
# replica; with REDIS_NAME alone one that others may replace and know by that name.
set -eu
here=$(dirname "$0")
# Under Sentinel, one that was killed comes back empty: not before its replica, which has everything, is the master.
if [ -n "${REDIS_NAME:-}" ]; then sleep 4; fi
exec redis-server "$here/redis.conf" - <<CONF
requirepass $REDIS_PASSWORD
masterauth $REDIS_PASSWORD
${REDIS_NAME:+replica-announce-ip $REDIS_NAME}
${REDIS_MASTER:+replicaof $REDIS_MASTER 6379}
CONF
