"""What a zygote has imported that imports nothing ahead: the names of its modules, as JSON."""

import json
import sys

sys.path.insert(0, sys.argv[1])
sys.path += [sys.argv[2], sys.argv[1] + "/worker/standins"]

from worker import zygote

assert zygote.import_ahead(list(zygote.OWN_IMPORTS)) == []
zygote.output_capture.install()
zygote.warmup.rehearse()
print(json.dumps(sorted(sys.modules)))
