#!/bin/sh
# A worker that prints the name it was given and fails.
printf '%s\n' "${2#--name=}"
exit 3
