#!/bin/sh
# A worker that complains more than a pipe holds, then prints the name it was given.
i=0
while [ $i -lt 5000 ]; do
    echo 'a long complaint about nothing, again and again and again' >&2
    i=$((i + 1))
done
printf '%s\n' "${2#--name=}"
