#!/bin/sh
# A worker that prints the lines of JSON in what it reads, with every @ as the end of a line: the files are its answer.
tr '@' '\n' | grep -a '^{'
