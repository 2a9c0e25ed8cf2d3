#!/bin/sh
# A worker that runs into its memory limit.
# shellcheck disable=SC3045  # every sh that Debian and Fedora have knows -v
ulimit -v 65536
x=xxxxxxxxxxxxxxxx
while :; do x="$x$x"; done
