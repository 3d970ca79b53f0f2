"""Lets SIGTERM end an engine that is still starting.

Linux drops a signal that process 1 of a container has no handler for, and vLLM sets its own only
after it has imported everything; until then a pod that is deleted would live on for its whole grace
period. Python imports this module before anything else; vLLM's handlers replace this one.
"""

import os
import signal

if os.getpid() == 1:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
