#!/bin/sh
# templates/components/backup/config/copy.sh.j2
# Copies each good backup to object storage and reads it back. Runs where `mc` is.
#
#   loop      copy what is not there yet, every minute
#   once      the same, one time
#   health    whether the newest backup is there; what Docker asks
#   list      the names that are there, newest first
#   fetch NAME  bring one back into /backups
set -eu
umask 077
cd /backups
keep_s=$((14 * 86400))
keep_at_least=7
late_after_s=7200
export MC_CONFIG_DIR=/private
# The address holds the key, so it is in this process's environment only.
MC_HOST_store="https://$(cat /run/secrets/storage-access-key):$(cat /run/secrets/storage-secret-key)@"'ams3.example-spaces.com'
export MC_HOST_store
far=store/'league-replays'/backups

die() { echo "$1" >&2; exit 1; }
seconds() { date -u +%s; }
names() { for folder in [0-9]*T*Z; do [ ! -d "$folder" ] || echo "$folder"; done | sort -r; }
# SHA256SUMS goes last: where it is, the whole backup is.
is_there() { [ "$(mc --quiet cat "$far/$1/SHA256SUMS" 2> /dev/null || true)" = "$(cat "$1/SHA256SUMS")" ]; }
is_good() { (cd "$1" && sha256sum --status --strict -c SHA256SUMS); }

list() { # a line of `mc ls` ends in NAME/
  mc --quiet ls "$far/" 2> /dev/null | while read -r words; do
    name=${words##* }
    case "$name" in [0-9]*T*Z/) echo "${name%/}" ;; esac
  done | sort -r
}

moment() { # name
  day=${1%T*}
  clock=${1#*T}
  clock=${clock%Z}
  month=${day#????}
  minute=${clock#??}
  date -u -d "${day%????}-${month%??}-${month#??} ${clock%????}:${minute%??}:${minute#??}" +%s
}

copy() { # name
  for file in about.json database.dump rows.jsonl SHA256SUMS; do
    mc --quiet cp "$1/$file" "$far/$1/$file" > /dev/null
  done
  while read -r sum file; do
    [ "$(mc --quiet cat "$far/$1/$file" | sha256sum | cut -d ' ' -f 1)" = "$sum" ] || die "$file of backup $1 came back different"
  done < "$1/SHA256SUMS"
}

thin_out() {
  left=0
  limit=$(($(seconds) - keep_s))
  for old in $(list); do
    left=$((left + 1))
    if [ "$left" -gt "$keep_at_least" ] && [ "$(moment "$old")" -lt "$limit" ]; then
      mc --quiet rm --recursive --force "$far/$old/" > /dev/null
    fi
  done
}

is_worth_it() { # what would be thinned out at once is not copied
  [ "$(moment "$1")" -ge $(($(seconds) - keep_s)) ] || [ "$(list | wc -l)" -lt "$keep_at_least" ] || is_there "$1"
}

once() {
  new=
  for name in $(names); do
    [ ! -e "/private/copied-$name" ] || continue # seen there since the start
    if ! is_worth_it "$name" || ! is_good "$name"; then continue; fi
    if ! is_there "$name"; then copy "$name"; new=1; fi
    touch "/private/copied-$name"
  done
  [ -z "$new" ] || thin_out
  seconds > /private/done
}

health() { # the last round that went through to its end
  [ $(($(seconds) - $(cat /private/done 2> /dev/null || cat /private/since))) -le "$late_after_s" ] || die "nothing could be copied: $(tail -n 1 /private/said)"
}

case "${1:-}" in
  loop)
    trap 'exit 0' TERM INT
    seconds > /private/since
    while :; do
      sh "$0" once 2> /private/said & wait "$!" || { cat /private/said >&2; }
      sleep 60 &
      wait "$!"
    done ;;
  once) once ;;
  health) health ;;
  list) list ;;
  fetch)
    case "${2:-}" in [0-9]*T*Z) ;; *) die "no backup is called like that; names are such as 20300131T040000Z" ;; esac
    [ ! -e "$2" ] || die "backup $2 is here already"
    rm -rf ".fetched"
    mkdir .fetched
    for file in about.json database.dump rows.jsonl SHA256SUMS; do mc --quiet cat "$far/$2/$file" > ".fetched/$file"; done
    is_good .fetched || { rm -rf .fetched; die "the checksum of backup $2 in object storage is wrong"; }
    mv .fetched "$2" ;;
  *) die "one of: loop, once, health, list, fetch NAME" ;;
esac
