#!/bin/sh
# A worker that prints the name it was given.
printf '%s\n' "${2#--name=}"
