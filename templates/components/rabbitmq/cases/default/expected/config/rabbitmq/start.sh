#!/bin/sh
# templates/components/rabbitmq/config/start.sh.j2
# The broker knows no password file. The definitions take a salted hash of it, made here, written into memory only: so the password
# is in no argument, no environment and on no disk.
set -eu
umask 077
erl -noinput -eval '
  {ok, Password} = file:read_file("/run/secrets/rabbitmq-password"),
  {ok, Definitions} = file:read_file("/etc/rabbitmq/definitions.json"),
  Salt = crypto:strong_rand_bytes(4),
  Hash = crypto:hash(sha256, [Salt, string:trim(Password)]),
  Filled = binary:replace(Definitions, <<"@password_hash@">>, base64:encode(<<Salt/binary, Hash/binary>>)),
  ok = file:write_file("/run/rabbitmq/definitions.json", Filled),
  halt(0).'
chown -R rabbitmq: /run/rabbitmq
exec docker-entrypoint.sh rabbitmq-server
