#!/bin/sh
# As the official image's: options alone are telegraf's, and it runs as its own user.
set -eu
case "${1:-telegraf}" in -*) set -- telegraf "$@" ;; esac
if [ "$(id -u)" = 0 ]; then
  exec setpriv --reuid=telegraf --regid=telegraf --init-groups "$@"
fi
exec "$@"
