#!/bin/sh
# Prints its name with every @ in place of the end of a line, as a worker that converts would print lines and bytes.
for argument; do
  case $argument in
    --name=*) printf '%s' "${argument#--name=}" | tr '@' '\n' ;;
  esac
done
