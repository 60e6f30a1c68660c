#!/usr/bin/env python3
"""Subscriptions against a simple model of them, with kill -9 among the steps.

    tests/fault/sub_model.py [--rounds 20] [--steps 1000] [--seed N]
    tests/fault/sub_model.py --rounds 1 --seed N     repeats one that failed, as far as time allows
"""
import argparse
import os
import random
import sys
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import sub_model  # noqa: E402
from sluicetest import Broker  # noqa: E402


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--steps", type=int, default=1000)
    p.add_argument("--seed", type=int, default=None)
    return p.parse_args()


def one(seed, steps):
    broker = Broker()
    try:
        p = sub_model.play(broker, seed, steps)
        broker.stop()
        print("ok      seed %d: %d steps, %d messages (%d delayed), %d acked, ordering %s, max_deliveries %d, proved %d times" % (
            seed, steps, len(p.messages), p.delayed, p.acked, p.settings["ordering"], p.max_deliveries, p.proofs), flush=True)
        return True
    except Exception:
        traceback.print_exc()
        print("FAILED  seed %d" % seed, flush=True)
        return False
    finally:
        broker.remove()


def main():
    a = arguments()
    first = a.seed if a.seed is not None else random.SystemRandom().randrange(1 << 30)
    passed = sum(one(first + i, a.steps) for i in range(a.rounds))
    print("%d passed, %d failed, 0 skipped" % (passed, a.rounds - passed))
    return 0 if passed == a.rounds else 1


if __name__ == "__main__":
    sys.exit(main())
