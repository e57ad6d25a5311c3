"""Say what is wrong with an answer before cookiecutter writes a file, as Copier does."""

import json
import re
import sys

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
RULES = {}
CHECKS = {}

for name, rule in RULES.items():
    value = str(ANSWERS[name])
    if not re.match(rule["pattern"], value) or not CHECKS.get(name, True):
        sys.exit(f"{name}: {value!r} {rule['message']}")
