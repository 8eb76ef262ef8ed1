#!/bin/sh
# templates/components/postgres/config/restore.sh.j2
# Loads the starting data once, before any application starts. Run again it does nothing; it refuses a database that holds
# tables it did not make.
set -eu
umask 077
printf '*:*:*:*:%s\n' "$(cat /run/secrets/db-password)" > /restore/private/pgpass
export PGPASSFILE=/restore/private/pgpass
sql() { psql -X -q -v ON_ERROR_STOP=1 -h 'postgres' -p '5432' -U 'sprocket' -d 'sprocket' "$@"; }

tries=0
until pg_isready -q -h 'postgres' -p '5432'; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "starting data: the database did not answer within 60 s" >&2; exit 1; }
  sleep 1
done
if [ "$(sql -Atc "select to_regclass('sprocket_setup.starting_data') is not null")" = t ]; then
  echo "starting data: loaded before, nothing to do"
  exit 0
fi
tables=$(sql -Atc "select count(*) from pg_catalog.pg_tables where schemaname not in ('pg_catalog', 'information_schema')")
if [ "$tables" != 0 ]; then
  echo "starting data: refused, the database holds $tables tables already; restore by hand as RUNBOOK.md says" >&2
  exit 1
fi
sql -1 -f /restore/starting-data.sql -c "create schema sprocket_setup; create table sprocket_setup.starting_data (loaded_at timestamptz not null default now()); insert into sprocket_setup.starting_data default values"
echo "starting data: loaded"
