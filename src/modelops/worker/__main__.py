"""`python -m modelops.worker`."""

import sys

from modelops.worker.main import main

sys.exit(main())
