#!/bin/sh
# templates/components/minio/config/buckets.sh.j2
# Makes the two buckets and the applications' own user, who sees nothing else. Run again it changes nothing.
set -eu
umask 077
export MC_CONFIG_DIR=/setup/private
# The address holds the password, so it is in this process's environment only.
MC_HOST_store="http://sprocket-root:$(cat /run/secrets/storage-root-password)@minio:9000"
export MC_HOST_store
tries=0
until mc --quiet ls store > /dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "object storage: no answer within 60 s" >&2; exit 1; }
  sleep 1
done
for bucket in 'golden-replays' 'golden-images'; do
  mc --quiet mb --ignore-existing "store/$bucket"
done
mc --quiet anonymous set download "store/"'golden-images'
# Key and secret go by standard input: not in an argument.
printf '%s\n%s\n' "$(cat /run/secrets/storage-access-key)" "$(cat /run/secrets/storage-secret-key)" | mc --quiet admin user add store
mc --quiet admin policy create store sprocket /setup/policy.json
mc --quiet admin policy attach store sprocket --user "$(cat /run/secrets/storage-access-key)" 2> /setup/private/said || grep -q "already" /setup/private/said
echo "object storage: ready"
