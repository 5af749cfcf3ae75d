"""Prints the modules of a zygote without imports ahead, as JSON."""

import json
import sys

sys.path.insert(0, sys.argv[1])
sys.path += [sys.argv[2], sys.argv[1] + "/worker/standins"]

from worker import zygote

assert zygote.import_ahead(list(zygote.OWN_IMPORTS)) == []
zygote.interpreter_hooks.install()
zygote.warmup.rehearse()
print(json.dumps(sorted(sys.modules)))
