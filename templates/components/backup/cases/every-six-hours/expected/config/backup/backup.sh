#!/bin/sh
# templates/components/backup/config/backup.sh.j2
# Makes, checks, lists and restores backups of the database, with the tools of the postgres image and nothing else.
#
#   loop                   make one whenever it is due; what the service runs
#   now REASON             make one at once and print its name
#   health                 whether backups are being made; what Docker asks
#   newest | list          the newest | all of them, newest first: NAME ok|bad|unread BYTES REASON
#   show NAME | verify NAME  one of them as `list` does | compare it with its checksums
#   rows NAME | count      the rows of each table when it was made | now, one JSON object a line
#   restore-scratch NAME   load it into a database beside the real one, count, compare, drop that database
#   restore-live NAME      load it beside the real one, count, compare, then exchange the two; nobody may be connected
#   adopt NAME             take in what was copied to .incoming
#
# A backup is a folder named after its moment: database.dump (pg_dump's custom format: compressed, and pg_restore can take single
# tables from it), rows.jsonl (counted in the snapshot that was dumped), about.json, and SHA256SUMS over the three.
set -eu
umask 077
cd /backups
period_s=$((360 * 60))
offset_s=$((2 * 3600))
keep_s=$((3 * 86400))
keep_at_least=4
late_after_s=$((period_s + 7200))
retry_after_s=600
export PGPASSFILE=/private/pgpass PGCONNECT_TIMEOUT=10 PGAPPNAME=backup PGOPTIONS="-c client_min_messages=warning"

die() { echo "$1" >&2; exit 1; }
sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
seconds() { date -u +%s; }
milliseconds() { date -u +%s%3N; }

if [ ! -s "$PGPASSFILE" ]; then
  printf '*:*:*:*:%s\n' "$(cat /run/secrets/db-password)" > "/private/pgpass.$$"
  mv "/private/pgpass.$$" "$PGPASSFILE"
fi

# --- what is there

names() { for folder in [0-9]*T*Z; do [ ! -d "$folder" ] || echo "$folder"; done | sort -r; }

newest_name() { names | head -n 1; }

moment() { # name; its moment in seconds, 0 for none
  [ -n "$1" ] || { echo 0; return; }
  date -u -d "$(echo "$1" | sed 's/^\(....\)\(..\)\(..\)T\(..\)\(..\)\(..\)Z$/\1-\2-\3 \4:\5:\6/')" +%s
}

named() { # name from outside
  echo "$1" | grep -Eqx '[0-9]{8}T[0-9]{6}Z' || die "no backup is called like that; names are such as 20300131T040000Z"
  [ -d "$1" ] || die "there is no backup $1 here"
}

is_good() { # folder
  files=$(cut -c 67- < "$1/SHA256SUMS" 2> /dev/null | sort | tr '\n' ' ')
  [ "$files" = "about.json database.dump rows.jsonl " ] && (cd "$1" && sha256sum --status --strict -c SHA256SUMS)
}

verify() { # folder
  is_good "$1" || die "the checksum of backup $1 is wrong: it is damaged and was not used"
}

line() { # name state
  bytes=$(stat -c %s "$1/database.dump" 2> /dev/null || echo 0)
  reason=$(sed -n 's/.*"reason": "\([a-z-]*\)".*/\1/p' "$1/about.json" 2> /dev/null || true)
  echo "$1 $2 $bytes ${reason:-unknown}"
}

# --- making one

# The rows of every table as JSON lines; psql's \gexec runs the queries that the first one writes.
count_rows="select format('select json_build_object(''table'', %L::text, ''rows'', count(*)) from %I.%I', schemaname || '.' || tablename, schemaname, tablename)
from pg_catalog.pg_tables where schemaname not in ('pg_catalog', 'information_schema') order by schemaname, tablename \\gexec"

take() { # reason
  rm -rf .new
  mkdir .new
  tries=0
  until pg_isready -q; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || die "the database did not answer within 60 s"
    sleep 1
  done
  begun=$(milliseconds)
  while name=$(date -u +%Y%m%dT%H%M%SZ) && [ -e "$name" ]; do sleep 1; done
  # One snapshot for both, so that the counts are those of exactly the rows that were dumped.
  sql > /dev/null << SQL
begin isolation level repeatable read, read only;
select pg_export_snapshot() as snapshot \\gset
\\setenv SNAPSHOT :snapshot
\\! pg_dump --snapshot="\$SNAPSHOT" --format=custom --file=.new/database.dump && touch .new/dumped
\\o .new/rows.jsonl
$count_rows
\\o
commit;
SQL
  [ -e .new/dumped ] || die "pg_dump failed"
  rm .new/dumped
  pg_restore --list .new/database.dump > /dev/null
  server=$(sql -c "show server_version" | tr -cd '0-9A-Za-z.() -')
  printf '{"name": "%s", "reason": "%s", "took_ms": %d, "bytes": %d, "server": "%s"}\n' \
    "$name" "$1" "$(($(milliseconds) - begun))" "$(stat -c %s .new/database.dump)" "$server" > .new/about.json
  (cd .new && sha256sum about.json database.dump rows.jsonl > SHA256SUMS)
  sync .new/* .new
  mv .new "$name"
  sync .
  verify "$name"
  echo "$name"
}

thin_out() { # the one just made is the newest, and good: it always stays
  good=0
  limit=$(($(seconds) - keep_s))
  for old in $(names); do
    if [ "$good" -lt "$keep_at_least" ]; then
      if is_good "$old"; then good=$((good + 1)); continue; fi
    fi
    [ "$(moment "$old")" -ge "$limit" ] || rm -rf "$old"
  done
}

attempt() ( # reason; one at a time, and never during a restore
  exec 9> .lock
  flock -w 900 9 || die "another backup or restore is still at work"
  # A shell of its own: inside a condition this one would go on after an error.
  if made=$(sh "$0" take "$1" 2> /private/said); then
    rm -f .failed
    thin_out
    echo "$made"
  else
    echo "$(seconds) $(tail -n 1 /private/said)" > .failed
    rm -rf .new
    cat /private/said >&2
    exit 1
  fi
)

is_due() {
  now=$(seconds)
  if [ -s .failed ] && [ $((now - $(cut -d ' ' -f 1 < .failed))) -lt "$retry_after_s" ]; then return 1; fi
  [ "$(moment "$(newest_name)")" -lt $(((now - offset_s) / period_s * period_s + offset_s)) ]
}

health() {
  latest=$(moment "$(newest_name)")
  since=$(cat .since)
  [ "$latest" -gt "$since" ] || latest=$since
  age=$(($(seconds) - latest))
  [ "$age" -le "$late_after_s" ] || die "the newest backup is $((age / 3600)) h old"
  # While one is being made nobody knows yet how it ends.
  if [ -s .failed ] && flock -n .lock true; then die "the last backup failed: $(cut -d ' ' -f 2- < .failed)"; fi
}

# --- restoring

load() { # name database; the tables' rows go to standard output
  sql -d postgres -c "drop database if exists \"$2\"" -c "create database \"$2\" template template0"
  pg_restore --exit-on-error --no-owner -d "$2" "$1/database.dump" >&2
  count "$2" > /private/rows
  cat /private/rows
  cmp -s /private/rows "$1/rows.jsonl" || die "the restored tables do not have the rows that backup $1 counted"
}

count() { printf '%s\n' "$count_rows" | sql -d "$1"; }

tell() { printf '{"equal": true, "took_ms": %d}\n' "$(($(milliseconds) - begun))"; }

restore_scratch() ( # name
  exec 9> .lock
  flock -w 900 9 || die "another backup or restore is still at work"
  verify "$1"
  trap 'sql -d postgres -c "drop database if exists \"${PGDATABASE}_scratch\""' EXIT
  begun=$(milliseconds)
  load "$1" "${PGDATABASE}_scratch"
  tell
)

restore_live() ( # name
  exec 9> .lock
  flock -w 900 9 || die "another backup or restore is still at work"
  verify "$1"
  connected="select count(*) from pg_stat_activity where datname = '$PGDATABASE' and backend_type = 'client backend'"
  tries=0
  until [ "$(sql -d postgres -c "$connected")" = 0 ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || die "programs are still connected to the database: stop the applications first"
    sleep 1
  done
  trap 'sql -d postgres -c "drop database if exists \"${PGDATABASE}_restoring\""' EXIT
  begun=$(milliseconds)
  load "$1" "${PGDATABASE}_restoring"
  sql -d postgres -c "drop database if exists \"${PGDATABASE}_replaced\""
  # Both names change in one transaction: whatever happens, the old database or the restored one is there.
  sql -d postgres -1 -c "alter database \"$PGDATABASE\" rename to \"${PGDATABASE}_replaced\"" \
    -c "alter database \"${PGDATABASE}_restoring\" rename to \"$PGDATABASE\""
  sql -d postgres -c "drop database \"${PGDATABASE}_replaced\""
  tell
)

case "${1:-}" in
  loop)
    trap 'exit 0' TERM INT
    rm -rf .new .incoming
    [ -s .since ] || seconds > .since
    while :; do
      if is_due; then attempt scheduled & wait "$!" || true; fi
      sleep 5 &
      wait "$!"
    done ;;
  now)
    echo "${2:-}" | grep -Eqx '[a-z-]{1,40}' || die "a reason is small letters, such as by-hand"
    attempt "$2" ;;
  take) take "$2" ;; # `now` without its lock
  health) health ;;
  newest)
    name=$(newest_name)
    [ -z "$name" ] || line "$name" unread ;;
  list) for name in $(names); do if is_good "$name"; then line "$name" ok; else line "$name" bad; fi; done ;;
  show) named "${2:-}"; if is_good "$2"; then line "$2" ok; else line "$2" bad; fi ;;
  verify) named "${2:-}"; verify "$2" ;;
  count) count "$PGDATABASE" ;;
  rows) named "${2:-}"; verify "$2"; cat "$2/rows.jsonl" ;;
  restore-scratch) named "${2:-}"; restore_scratch "$2" ;;
  restore-live) named "${2:-}"; restore_live "$2" ;;
  adopt)
    echo "${2:-}" | grep -Eqx '[0-9]{8}T[0-9]{6}Z' || die "no backup is called like that"
    is_good .incoming || { rm -rf .incoming; die "the checksum of backup $2 is wrong: it is damaged and was not used"; }
    # A good one of that name is the same one; a damaged one is worth nothing.
    if [ -e "$2" ] && is_good "$2"; then rm -rf .incoming; else rm -rf "$2"; sync .incoming/* .incoming; mv .incoming "$2"; sync .; fi ;;
  *) die "one of: loop, now REASON, health, newest, list, show NAME, verify NAME, rows NAME, count, restore-scratch NAME, restore-live NAME, adopt NAME" ;;
esac
