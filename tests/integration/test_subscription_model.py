"""Subscriptions against a simple model: random steps and crashes (tests/fault/sub_model.py for more of them)."""
import os
import random

import sub_model
from sluicetest import SoloBrokerTest, log

STEPS = int(os.environ.get("SUB_MODEL_STEPS", "250"))


class Model(SoloBrokerTest):
    def run_one(self, seed):
        log("seed %d" % seed)
        p = sub_model.play(self.start(), seed, STEPS)
        log("%d messages, %d acked, %s, max_deliveries %d" % (len(p.messages), p.acked, p.settings["ordering"],
                                                              p.max_deliveries))

    def test_a_seed_that_is_always_the_same(self):
        self.run_one(1)

    def test_a_seed_of_chance(self):
        self.run_one(random.SystemRandom().randrange(1 << 30))
