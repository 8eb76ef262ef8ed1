#!/bin/sh
# The stand-in's tini: skips the options, runs what follows; Docker's own init reaps.
while [ "$#" -gt 0 ]; do case "$1" in -*) shift ;; *) break ;; esac; done
exec "$@"
