"""What every scenario has in common, under one name.

A scenario is a list of parts. A part loads a broker and makes checks; each check has a name,
a figure and a bound. With --guard a part runs with its protection switched off, and the
checks that it names must fail: a check that cannot fail proves nothing.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from sluicetest import BIN, ROOT, clean_env, free_port, hammer, until  # noqa: E402,F401
from verdict import GiB, KiB, MiB, Part, main, mib  # noqa: E402,F401
from load import (Load, ScenarioBroker, acks, is_sanitized, missing, payload, play, post,  # noqa: E402,F401
                  start_hammer, start_play, tool)
from watch import (Prober, Sampler, came_in_a_life, check_flat, proc_status, quantile, settled,  # noqa: E402,F401
                   unacknowledged)
