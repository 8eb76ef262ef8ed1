#!/bin/sh
# Compatible with the official image as far as this project uses it: POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD[_FILE], PGDATA.
set -eu
: "${PGDATA:=/var/lib/postgresql/data}" "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}"
export PGDATA
if [ "$(id -u)" = 0 ] && [ "${1:-postgres}" = postgres ]; then
  mkdir -p "$PGDATA"
  chown -R postgres: "$PGDATA"
  chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ "${1:-postgres}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  password="${POSTGRES_PASSWORD_FILE:-}"
  if [ -z "$password" ]; then
    [ -n "${POSTGRES_PASSWORD:-}" ] || { echo "set POSTGRES_PASSWORD_FILE or POSTGRES_PASSWORD" >&2; exit 1; }
    umask 077
    password=/dev/shm/initial-password
    printf '%s' "$POSTGRES_PASSWORD" > "$password"
  fi
  initdb --username="$POSTGRES_USER" --pwfile="$password" --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 > /dev/null
  [ "$password" != /dev/shm/initial-password ] || rm -f "$password"
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  # The first server listens on the socket only: nobody can connect before the database is there.
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start > /dev/null
  if [ "$POSTGRES_DB" != postgres ]; then
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  fi
  pg_ctl -D "$PGDATA" -m fast -w stop > /dev/null
  echo "database initialised"
fi
if [ "${1:-postgres}" = postgres ]; then
  [ "$#" = 0 ] || shift
  exec postgres -c listen_addresses='*' "$@"
fi
exec "$@"
