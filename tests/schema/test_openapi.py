"""Whatever a client makes of /openapi.json, the answer is one that stands there."""
import os
import re

import fuzzer
from sluicetest import SoloBrokerTest

# From 10 on hypothesis 6.170.15 optimises what it makes up, and now and then fails in that itself.
EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", 6))
SEED = int(os.environ.get("SCHEMA_SEED", 1))


class TheApiIsAsItSays(SoloBrokerTest):
    def test_no_answer_is_undocumented_and_none_says_that_the_broker_failed(self):
        # Waits that end soon; and heads that always fit, because what does not is answered by the
        # library, before there is a route.
        broker = self.start(read_wait_max="100ms", publish_wait_max="100ms", mercure_subscriptions=True,
                            connection_memory="64KiB")
        # The hub's stream goes on until one of both closes it.
        status, said = fuzzer.ask(broker.address, EXAMPLES, SEED, "--exclude-operation-id", "mercureSubscribe")
        self.assertEqual(status, 0, said[-8000:])
        selected, all_, tested = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", said).groups()
        self.assertEqual((int(selected), int(tested)), (int(all_) - 1, int(all_) - 1))
        print("     seed %d, %s requests" % (SEED, re.search(r"(\d+) generated", said).group(1)))
        self.assertEqual(broker.ask("GET", "/readyz").status, 200)
        self.assertIdle(broker)
