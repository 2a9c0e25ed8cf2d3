#!/bin/sh
# A worker that crashes.
kill -ABRT $$
