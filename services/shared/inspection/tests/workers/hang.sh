#!/bin/sh
# A worker that says its process id as progress and then never ends.
printf '{"event":"progress","done_bytes":%d}\n' $$
exec /bin/sleep 600
