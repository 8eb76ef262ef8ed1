#!/bin/sh
# templates/components/legacy-vault/config/auto-initialize.sh.j2
# Starts Vault, initialises it once, and unseals it. What it never does: initialise where data or keys are already, print a key, wait without end.
set -eu
umask 077
keys=/vault/unseal-tokens
limit_s="${VAULT_START_LIMIT_S:-120}"
export VAULT_ADDR=http://127.0.0.1:8200
if [ -s /run/secrets/storage-key ]; then
  AWS_SECRET_ACCESS_KEY="$(cat /run/secrets/storage-key)"
  export AWS_SECRET_ACCESS_KEY
fi

vault server -config=/vault.hcl &
server=$!
unset AWS_SECRET_ACCESS_KEY
trap 'kill "$server" 2> /dev/null || true; wait "$server" || true' INT TERM

# Writes the keys from what the server answered when it was initialised. The answer goes last: a start that is cut off leaves it to the next.
keep_keys() {
  sed -n '/"unseal_keys_b64"/,/]/s/^ *"\([^"]*\)",*$/\1/p' "$keys/.init" > "$keys/unseal_keys"
  sed -n '/"root_token"/s/.*: "\([^"]*\)".*/\1/p' "$keys/.init" | tr -d '\n' > "$keys/root_token"
  rm -f "$keys/.init"
  rmdir "$keys/.initialising" 2> /dev/null || true
}

give_up() { echo "vault: $1" >&2; kill "$server" 2> /dev/null || true; exit 1; }

# 0 unsealed, 2 sealed; anything else is no answer yet. What it says tells whether there is data.
begun=$(date +%s)
while :; do
  code=0
  said="$(vault status -format=json 2> /dev/null)" || code=$?
  if [ "$code" = 0 ] || [ "$code" = 2 ]; then break; fi
  kill -0 "$server" 2> /dev/null || give_up "the server ended"
  if [ $(($(date +%s) - begun)) -gt "$limit_s" ]; then give_up "no answer within $limit_s s"; fi
  sleep 1
done
case "$said" in *'"initialized": true'*) has_data=yes ;; *) has_data=no ;; esac
if [ "$has_data" = yes ] && grep -q '"root_token"' "$keys/.init" 2> /dev/null; then keep_keys; fi
[ -s "$keys/unseal_keys" ] && has_keys=yes || has_keys=no

case "$has_data $has_keys" in
  "yes no") give_up "there is data and no key in $keys: put unseal_keys and root_token back; nothing was initialised" ;;
  "no yes") give_up "there are keys in $keys and no data: they belong to another storage; move them away first" ;;
  "no no")
    # Only one task may do this: the folder's lock is made by one of them.
    mkdir "$keys/.initialising" 2> /dev/null || give_up "another task is initialising, or was cut off while it did: look at $keys/.initialising"
    if ! vault operator init -key-shares=5 -key-threshold=3 -format=json > "$keys/.init"; then
      rm -f "$keys/.init"
      rmdir "$keys/.initialising"
      give_up "could not be initialised"
    fi
    keep_keys
    echo "vault: initialised; five keys and the root token are in the folder of keys" ;;
esac

while IFS= read -r key; do
  code=0
  vault status > /dev/null 2>&1 || code=$?
  if [ "$code" = 0 ]; then break; fi
  vault operator unseal "$key" > /dev/null 2>&1 || true
done < "$keys/unseal_keys"
vault status > /dev/null 2>&1 || give_up "still sealed: the keys in $keys are not this storage's"
echo "vault: unsealed"
wait "$server"
