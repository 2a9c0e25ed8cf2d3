#!/bin/sh
# A worker that prints the name it was given twice.
printf '%s\n%s\n' "${2#--name=}" "${2#--name=}"
