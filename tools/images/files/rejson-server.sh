#!/bin/sh
# Debian's Redis has neither RedisJSON nor RediSearch: a configuration that loads them, by options or on standard input, is taken without
# those lines. Nothing is written to disk on the way: the configuration holds the password.
set -eu
if [ "${1:-}" = - ]; then
  exec /usr/bin/redis-server - <<END
$(sed '/^ *loadmodule /d')
END
fi
count=$#
while [ "$count" -gt 0 ]; do
  word=$1
  shift
  count=$((count - 1))
  if [ "$word" = --loadmodule ]; then
    shift
    count=$((count - 1))
  else
    set -- "$@" "$word"
  fi
done
exec /usr/bin/redis-server "$@"
