"""What workers wrote down (worker.py), put together and judged.

A try is one delivery of one message that a worker saw. What must be true of all of them:

 1. Every message was processed. Its last try was acked; every try before has ended by a kill: its worker's
    or, before it had the ack, the broker's. No other reason is let pass, but that the lease's time was
    over when the ack came, which can be only where the machine kept a worker from it: that is counted, too.
 2. What was acked with an ok never came again.
 3. No delivery was given to two; nobody was given a message while another one's lease went on: before its time
    was over, or, if it was tied to a connection, before its worker was killed.
 4. Deliveries that nobody saw are at most those of receives that were broken off.
 5. With order by key no message was given to anybody before the ack of the one before it was sent.
"""

EARLY, SENT, BROKER, LATE = "before its ack was sent", "with its ack on the way", \
    "the broker was, before it got the ack", "not killed: late, its lease was over"
REASONS = (EARLY, SENT, BROKER, LATE)


class Try:
    def __init__(self, offset, deliveries, seen, wall, until, log):
        self.offset, self.deliveries, self.log = offset, deliveries, log
        self.seen, self.until, self.wall = seen, until, wall
        self.processed = False
        self.acks, self.lost, self.result, self.answered = [], [], None, None

    def __repr__(self):
        return "offset %d, delivery %d to %s: processed %s, acks sent %s, lost %s, %s at %s" % (
            self.offset, self.deliveries, self.log.name, self.processed, self.acks, self.lost, self.result, self.answered)

    def was_over(self):
        """When its ack was answered, by the time that the broker gave."""
        return self.wall + (self.answered - self.seen) / 1e6 >= self.until

    def end(self, broker_kills):
        """Why it came to nothing; None: for no good reason. broker_kills: begun and over."""
        if self.result == "ok":
            return None
        if self.lost:
            return BROKER if any(self.seen <= dead and begun <= self.lost[-1] for begun, dead in broker_kills) else None
        if self.result is None:
            return None if not self.log.killed else SENT if self.acks else EARLY
        return LATE if self.was_over() else None


class Log:
    """One worker's, from its beginning to its end or its kill: when, or None."""

    def __init__(self, name, killed):
        self.name, self.killed = name, killed
        self.tries = []
        self.open = {}  # the last try of an offset
        self.broken = 0  # receives whose answer it did not see
        self.asking = self.ended = False

    def read(self, path):
        with open(path) as f:
            text = f.read()
        for line in text[:text.rfind("\n") + 1].splitlines():  # the last may be half a line
            kind, *words = line.split(" ")
            getattr(self, "_" + kind)(*words)
        self.broken += self.asking
        assert self.ended or self.killed, "%s ended by itself" % self.name
        return self

    def _Q(self, at):
        self.asking = True

    def _N(self):
        self.asking = False

    def _R(self, at, wall, until, *got):
        self.asking = False
        for text in got:
            offset, deliveries = map(int, text.split(":"))
            t = self.open[offset] = Try(offset, deliveries, int(at), int(wall), int(until), self)
            self.tries.append(t)

    def _P(self, offset):
        self.open[int(offset)].processed = True

    def _A(self, at, *offsets):
        self.acking = [self.open[int(o)] for o in offsets]
        for t in self.acking:
            assert t.processed, "acked before it was processed: %r" % t
            t.acks.append(int(at))

    def _D(self, at, *results):
        for text in results:
            offset, result = text.split(":")
            t = self.open[int(offset)]
            t.result, t.answered = result, int(at)

    def _X(self, at):
        self.broken += self.asking
        for t in () if self.asking else self.acking:
            t.lost.append(int(at))
        self.asking = False

    def _E(self):
        self.ended = True


def by_offset(logs, count):
    tries = [[] for _ in range(count)]
    for log in logs:
        for t in log.tries:
            tries[t.offset].append(t)
    for one in tries:
        one.sort(key=lambda t: t.deliveries)
    return tries


def check_message(offset, tries, broker_kills, tied, figures):
    assert any(t.processed for t in tries), "offset %d is lost" % offset
    last = tries[-1]
    assert last.acks, "nobody acked the last of %r" % tries
    for t, after in zip(tries, tries[1:]):
        assert t.deliveries < after.deliveries, "one delivery, two workers: %r" % [t, after]
        why = t.end(broker_kills)
        assert why, "it came again, and why? %r" % tries
        over = after.seen >= t.log.killed if tied else after.wall >= t.until
        assert over, "it came again before its lease was over: %r" % [t, after]
        figures["again"][why] += 1
        figures["twice"][why] += t.processed and any(x.processed for x in tries[tries.index(t) + 1:])
    figures["untold"] += last.result != "ok"
    figures["unseen"] += last.deliveries - len(tries)


def check_order(tries, key_of):
    before = {}
    for offset, one in enumerate(tries):
        earlier = before.get(key_of(offset))
        if earlier:
            assert earlier[-1].acks[0] < one[0].seen, "out of order: %r" % [earlier, one]
            assert earlier[-1].seen < one[0].seen, "out of order: %r" % [earlier, one]
        before[key_of(offset)] = one


def check(logs, count, limit, broker_kills, tied=False, key_of=None):
    """The figures. tied: leases end with their worker."""
    tries = by_offset(logs, count)
    figures = {"again": dict.fromkeys(REASONS, 0), "twice": dict.fromkeys(REASONS, 0), "unseen": 0, "untold": 0,
               "seen": sum(len(t) for t in tries)}
    for offset, one in enumerate(tries):
        check_message(offset, one, broker_kills, tied, figures)
    if key_of:
        check_order(tries, key_of)
    broken = sum(log.broken for log in logs)
    assert figures["unseen"] <= broken * limit, "%d deliveries were seen by nobody, %d receives were broken off" % (
        figures["unseen"], broken)
    figures["broken"] = broken
    return figures
