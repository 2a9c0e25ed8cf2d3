#!/bin/sh
# A worker that says nothing and never ends.
exec /bin/sleep 600
