#!/bin/sh
# As the official image's: options alone are the server's, and it runs as its own user.
set -eu
case "${1:-}" in -*) set -- redis-server "$@" ;; esac
if [ "${1:-redis-server}" = redis-server ] && [ "$(id -u)" = 0 ]; then
  chown -R redis: /data
  exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
exec "${@:-redis-server}"
