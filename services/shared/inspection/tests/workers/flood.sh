#!/bin/sh
# A worker that never stops printing progress.
while :; do echo '{"event":"progress","done_bytes":1}'; done
