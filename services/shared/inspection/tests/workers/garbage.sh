#!/bin/sh
# A worker that prints something else than its protocol.
echo 'All good, trust me.'
