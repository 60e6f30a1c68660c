"""After a burst the process gives memory back, not only the ledgers."""
import unittest

from sluicetest import BIN, Hammer, SoloBrokerTest, log, until

MiB = 1 << 20
READERS = 2000


def is_sanitized():
    with open(BIN, "rb") as f:
        program = f.read()
    return b"__asan_init" in program or b"__tsan_init" in program


@unittest.skipIf(is_sanitized(), "the sanitizer keeps freed memory")
class MemoryComesBack(SoloBrokerTest):
    def test_what_a_crowd_of_readers_took_comes_back_when_they_have_left(self):
        b = self.start(max_connections=READERS + 100)
        b.ask("PUT", "/v1/topics/parked")
        idle = b.rss_anon()
        with Hammer("park", b.address, connections=READERS, topic="parked", stdin=True) as h:
            self.assertEqual(h.figures()["parked"], READERS)
            taken = b.rss_anon() - idle
            h.say("close %d" % READERS)
            self.assertGreater(taken, 4 * MiB, "too little: this tested nothing")
            until(lambda: b.rss_anon() <= idle + 1.5 * MiB, what="their memory comes back")
        log("%.1f MiB taken, %.1f MiB kept" % (taken / MiB, (b.rss_anon() - idle) / MiB))
