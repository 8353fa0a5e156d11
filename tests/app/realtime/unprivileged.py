"""Runs a command without the right to real-time scheduling or locked memory, whoever runs the tests.

``python unprivileged.py COMMAND...``
"""

import ctypes
import os
import resource
import sys

_PR_CAPBSET_DROP = 24
_CAPABILITIES = (14, 23)  # CAP_IPC_LOCK, CAP_SYS_NICE
_MEMLOCK = 1 << 20

if __name__ == "__main__":
    libc = ctypes.CDLL(None)
    for capability in _CAPABILITIES:
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for a user who has none to lose
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    least = min(_MEMLOCK, *(limit for limit in resource.getrlimit(resource.RLIMIT_MEMLOCK) if limit >= 0), _MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (least, least))
    os.execv(sys.argv[1], sys.argv[1:])
