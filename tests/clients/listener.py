"""A public library that listens, in a node of its own."""
import json
import os
import subprocess
import threading
import time

import packages
from sluicetest import PATIENCE, _before_exec

CLIENT = os.path.join(packages.HERE, "client.mjs")


class Listener:
    """`said` is all that it has told; `events` are (id, data) in the order in which they came."""

    def __init__(self, library, url, headers=None, types=(), **options):
        asked = {"library": library, "url": url, "headers": headers or {}, "types": types, "options": options}
        self.process = subprocess.Popen(["node", CLIENT, json.dumps(asked)], cwd=packages.FOLDER, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=_before_exec)
        self.said, self.ended, self.news = [], False, threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.news:
                self.said.append(json.loads(line))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    @property
    def events(self):
        return [(s["id"], s["data"]) for s in self.said if "data" in s]

    def count(self, word):
        return sum(word in s for s in self.said)

    def until(self, check, what):
        over = time.monotonic() + PATIENCE
        with self.news:
            while not check():
                if self.ended or not self.news.wait(max(0, over - time.monotonic())):
                    raise AssertionError("%s; it has told: %s" % (what, self.said[-20:]))
        return self

    def opened(self, times=1):
        return self.until(lambda: self.count("open") >= times, "it does not open %d times" % times)

    def has(self, events):
        """Exactly these, in this order; none twice, none missing."""
        events = list(events)
        self.until(lambda: len(self.events) >= len(events), "%d events do not come" % len(events))
        assert self.events == events, (self.events, events)
        return self

    def gave_up(self):
        """What it says of why."""
        self.until(lambda: any(s.get("closed") for s in self.said), "it does not give up")
        return next(s["error"] for s in self.said if s.get("closed"))

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE)
        self.reader.join()
        self.process.stdout.close()
        assert status == 0, "the listener ended with %d" % status
