#!/bin/sh
# Compatible with the official image as far as this project uses it: the server runs as rabbitmq, and root shares its cookie.
set -eu
if [ "$(id -u)" = 0 ]; then
  ln -sf /var/lib/rabbitmq/.erlang.cookie /root/.erlang.cookie
  if [ "${1:-rabbitmq-server}" = rabbitmq-server ]; then
    chown -R rabbitmq: /var/lib/rabbitmq
    exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
  fi
fi
exec "${@:-rabbitmq-server}"
