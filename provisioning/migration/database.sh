# Counts, dumps, loads and exchanges a PostgreSQL database, with the tools of the postgres image; copied into a container by the
# control plane and asked there. A password comes as the first line of standard input and is in no argument and no environment.
#
#   room FOLDER             bytes that are free there
#   size                    bytes of the database, and the server's version
#   digest                  one JSON line for each table: rows, and a sum over the md5 of every row, whatever their order
#   dump FOLDER             the same, and a dump of exactly the rows that were counted, with checksums
#   load FOLDER             a dump with the right checksums into an empty database of this name, beside whatever is there
#   exchange DATABASE       this database takes the place of DATABASE; nobody may be connected to that one
#   drop                    remove this database
#
# Which database: the arguments after `--`: HOST PORT USER SSLMODE DATABASE; HOST is - for the server in this very container.
set -eu
umask 077
verb=$1
shift
argument=
if [ "$1" != -- ]; then argument=$1; shift; fi
[ "$#" -ge 6 ] && [ "$1" = -- ] || { echo "database.sh: wrong arguments" >&2; exit 2; }
[ "$2" = - ] || export PGHOST="$2"
export PGPORT="$3" PGUSER="$4" PGSSLMODE="$5" PGDATABASE="$6" PGCONNECT_TIMEOUT=10 PGAPPNAME=sprocket-migration
# How a row is written as text must not depend on who asks.
settled="-c client_min_messages=warning -c datestyle=ISO,MDY -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex"
private=$(mktemp -d)
# On a full disk each tool has words of its own for it, or none: whoever fails while a disk is full is said to fail for that.
end() { # exit code
  rm -rf "$private"
  [ "$1" != 0 ] || return 0
  for folder in /work "${PGDATA:-/}" "${argument:-/}" /tmp; do
    free=$(stat -f -c '%a %S' "$folder" 2> /dev/null | { read -r blocks size && echo $((blocks * size / 1048576)); } || echo 1)
    [ "$free" != 0 ] || echo "No space left on device: $folder" >&2
  done
}
trap 'end $?' EXIT
if [ "$2" != - ]; then
  IFS= read -r password
  printf '*:*:*:*:%s\n' "$(printf '%s' "$password" | sed 's/[\\:]/\\&/g')" > "$private/pgpass"
  export PGPASSFILE="$private/pgpass" PGOPTIONS="$settled -c default_transaction_read_only=on"
else
  export PGOPTIONS="$settled"
fi

die() { echo "$1" >&2; exit 1; }
sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

# psql's \gexec runs the queries that this one writes. A sum over pieces of md5 needs no order and no memory, and is the same on both sides.
digest="select format('select json_build_object(''table'', %L::text, ''rows'', count(*), ''content'', coalesce(sum((''x'' || substr(md5((a_row.*)::text), 1, 16))::bit(64)::bigint::numeric), 0)::text) from %I.%I a_row', schemaname || '.' || tablename, schemaname, tablename)
from pg_catalog.pg_tables where schemaname not in ('pg_catalog', 'information_schema') order by schemaname, tablename \\gexec"

case "$verb" in
  room) stat -f -c '%a %S' "$argument" | { read -r blocks size; echo $((blocks * size)); } ;;
  size) sql -c "select pg_database_size(current_database()) || ' ' || current_setting('server_version_num')" ;;
  digest) printf '%s\n' "$digest" | sql ;;
  dump)
    rm -rf "$argument"
    mkdir -p "$argument"
    sql > /dev/null << SQL
begin isolation level repeatable read, read only;
select pg_export_snapshot() as snapshot \\gset
\\setenv SNAPSHOT :snapshot
\\! pg_dump --snapshot="\$SNAPSHOT" --format=custom --file="$argument/database.dump" && touch "$private/dumped"
\\o $argument/tables.jsonl
$digest
\\o
commit;
SQL
    [ -e "$private/dumped" ] || die "pg_dump failed"
    pg_restore --list "$argument/database.dump" > /dev/null
    (cd "$argument" && sha256sum database.dump tables.jsonl > SHA256SUMS)
    sync "$argument"/*
    cat "$argument/tables.jsonl"
    ;;
  load)
    (cd "$argument" && sha256sum --status --strict -c SHA256SUMS) || die "the checksum of the dump is wrong: it is damaged and was not used"
    sql -d postgres -c "drop database if exists \"$PGDATABASE\"" -c "create database \"$PGDATABASE\" template template0"
    pg_restore --exit-on-error --no-owner --no-privileges -d "$PGDATABASE" "$argument/database.dump" >&2
    printf '%s\n' "$digest" | sql
    ;;
  exchange)
    sql -d postgres -c "drop database if exists \"${argument}_replaced\""
    # Both names change in one transaction: whatever happens, the one or the other is there.
    sql -d postgres -1 -c "alter database \"$argument\" rename to \"${argument}_replaced\"" -c "alter database \"$PGDATABASE\" rename to \"$argument\""
    sql -d postgres -c "drop database \"${argument}_replaced\""
    ;;
  drop) sql -d postgres -c "drop database if exists \"$PGDATABASE\"" ;;
  *) die "database.sh: no verb $verb" ;;
esac
