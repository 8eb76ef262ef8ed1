#!/bin/sh
# Compatible with the official image as far as this project uses it: drops to the user redis for redis-server, runs anything else.
set -eu
if [ "${1:-redis-server}" = redis-server ] && [ "$(id -u)" = 0 ]; then
  chown -R redis: /data
  exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
exec "${@:-redis-server}"
