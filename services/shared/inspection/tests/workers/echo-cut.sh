#!/bin/sh
# A worker that prints the name it was given without ending the line.
printf '%s' "${2#--name=}"
