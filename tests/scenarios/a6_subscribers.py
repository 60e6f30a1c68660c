#!/usr/bin/env python3
"""A6: ten thousand subscribers of event streams, some of them dead.

Most read one topic, a hundred have one for themselves, some come and go all the time. One process of
them is stopped, another is killed; later the stopped one goes on. The stopped ones are cut, each
once, in time, and publishers do not notice; when they come back they miss nothing. The broker's
gauge, its list of subscribers (the hub has one), the kernel's sockets and what the clients say are the
same number all the time.

Short: a tenth of the subscribers, and the quarter of an hour in half a minute; the timeouts are
shorter by as much, and five messages a second fill the buffers of those who are stopped.

Guards: no timeout for a reader that stops; subscribers that come back without their last id.
"""
import functools
import signal
import time

from scenario import KiB, MiB, Part, Sampler, ScenarioBroker, is_sanitized, main, mib, settled
from crowd import Crowd, Herald
from doors import Mercure, Native

ESTABLISHED, CLOSE_WAIT = "01", "08"
EACH = 40 * KiB  # of memory for a subscriber


class Plan:
    """When what happens, in seconds from the moment when all are connected."""

    def __init__(self, c):
        self.all = c.pick(1000, 10000)
        self.some = self.all // 20  # to be stopped; as many to be killed
        self.singles, self.churn = 100, 50
        self.many = self.all - 2 * self.some - self.singles - self.churn
        self.stop, self.kill, self.go_on, self.end = c.pick((2, 11.5, 14, 19), (120, 480, 600, 900))
        self.rate = c.pick(5, 1)
        self.every = c.pick(0.5, 1.0)
        self.window = c.pick(4, 10)
        self.dispatch, self.heartbeat, self.life = c.pick((2, 2, 14), (5, 15, 600))

    def settings(self, door, guard):
        out = dict(door.settings, log_level="warn")
        never = int(self.go_on - self.stop) + 5  # before it is looked at
        out.update(door.timeouts(never if guard else self.dispatch, self.heartbeat, self.life))
        if guard:
            out["min_read_rate"] = 0
        return out


# ---- what the kernel says ----

def sockets_of(port):
    """Of the broker's side: how many in each state, by the third number of the client's address."""
    out = {}
    with open("/proc/net/tcp") as f:
        next(f)
        for line in f:
            w = line.split(None, 4)
            if int(w[1][9:], 16) == port and w[3] != "0A":
                key = int(w[2][2:4], 16), w[3]  # the address is turned around
                out[key] = out.get(key, 0) + 1
    return out


class SubscriberSampler(Sampler):
    """Also the subscribers' sockets, and the gauge once more in front of them. When hundreds end their
    lives in one second and come back, they are apart for a moment, and so they are while others have
    the processor: it looks again then, for a second at most. What is apart for longer is leaked."""

    def __init__(self, story, near):
        super().__init__(story.b, story.plan.every)
        self.door, self.groups, self.idle_fds, self.near = story.door, story.groups, story.idle_fds, near

    def look(self):
        for _ in range(6):
            s = self.look_once()
            if max(s["apart"], s["spare_fds"], s["close_wait"]) <= self.near:
                break
            time.sleep(0.2)
        return s

    def look_once(self):
        before = super().look()[self.door.gauge]
        sockets = sockets_of(self.broker.port)
        listed = self.door.listed(self.client)
        s = super().look()
        s["gauge"] = int(s[self.door.gauge])
        s["established"] = sum(n for (group, state), n in sockets.items() if group and state == ESTABLISHED)
        s["close_wait"] = sum(n for (_, state), n in sockets.items() if state == CLOSE_WAIT)
        s["stopped"] = sum(n for (group, state), n in sockets.items()
                           if group == self.groups["stopped"].group and state in (ESTABLISHED, CLOSE_WAIT))
        s["spare_fds"] = s["fds"] - s["established"] - self.idle_fds
        s["apart"] = int(min(abs(gauge - s["established"]) for gauge in (before, s["gauge"])))
        if listed is not None:
            s["apart"] = max(s["apart"], abs(listed - s["established"]))
        s["listed"] = listed
        return s


# ---- the crowds ----

class Group(Crowd):
    """A process of subscribers, all of whom come from 127.0.`group`.x."""

    def __init__(self, b, group, **options):
        self.group = group
        super().__init__(b.address, wait=False, source="127.0.%d.1" % group, **options)


def crowds(b, door, plan, forget):
    stays = {"resume": True, "rest": 0.5 if forget else 0, "forget": forget}
    small = {"receive_buffer": 4 * KiB}  # so that few messages fill it
    return {
        "many": Group(b, 1, subscribers=plan.many, **door.subscribe("news"), **stays),
        "singles": Group(b, 2, subscribers=plan.singles, topics=plan.singles, **door.subscribe("single-%d"), **stays),
        "stopped": Group(b, 3, subscribers=plan.some, **door.subscribe("news"), **stays, **small),
        "killed": Group(b, 4, subscribers=plan.some, **door.subscribe("news"), **small),
        "churn": Group(b, 5, subscribers=plan.churn, churn=plan.churn, **door.subscribe("news")),
    }


class Story:
    """One run: the load, and what was seen at each of its moments."""

    def __init__(self, c, b, door, plan):
        self.c, self.b, self.door, self.plan = c, b, door, plan
        self.idle, self.idle_fds = b.rss_anon(), b.open_fds()
        self.groups = crowds(b, door, plan, forget=c.guard)
        self.clients = None

    def open(self):
        for g in self.groups.values():
            g.until_open(seconds=120)
        news, single = self.door.publish("news"), self.door.publish("single-%d")
        options = {"size": 1024, "window": self.plan.window}
        self.heralds = (Herald(self.b.address, rate=self.plan.rate, **news, **options),
                        Herald(self.b.address, rate=self.plan.singles, topics=self.plan.singles, **single, **options))
        self.sampler = self.new_sampler(self.plan.churn)
        self.sampler.start()
        self.began = time.monotonic()

    def sleep_until(self, seconds):
        time.sleep(max(0, self.began + seconds - time.monotonic()))

    def stop_some(self):
        self.sleep_until(self.plan.stop)
        self.groups["stopped"].signal(signal.SIGSTOP)
        self.stopped_at = time.monotonic()

    def kill_some(self):
        self.sleep_until(self.plan.kill)
        self.groups["killed"].close()
        self.sleep_until(self.plan.go_on)
        self.gone_on_at = time.monotonic()
        self.groups["stopped"].signal(signal.SIGCONT)

    def cut_after(self):
        """Seconds until none of the stopped was there; None: some were, to the end."""
        for s in self.sampler.between(self.stopped_at, self.gone_on_at):
            if not s["stopped"]:
                return s["t"] - self.stopped_at
        return None

    def end(self):
        """The publishers end, everybody has what is there, the three counts, and all leave."""
        self.sleep_until(self.plan.end)
        self.ended = time.monotonic()
        self.published = [h.stop() for h in self.heralds]
        for name, herald in (("many", 0), ("stopped", 0), ("singles", 1)):
            try:
                self.groups[name].until_next(self.published[herald]["next"], 20)
            except AssertionError:
                pass  # a check says so
        self.sampler.stop()
        self.seen = {name: g.figures() for name, g in self.groups.items() if name != "killed"}
        self.count_all()
        for name in self.seen:
            self.groups[name].leave()

    def count_all(self):
        """Without churn, so that each is exact: gauge, sockets, what the clients say."""
        self.groups["churn"].leave()
        deadline = time.monotonic() + 30  # while lives end, one or the other is on its way
        while time.monotonic() < deadline:
            s = self.look_once()
            said = sum(self.groups[name].figures()["open"] for name in self.seen)
            self.clients = [n for n in (s["gauge"], s["established"], s["listed"], said) if n is not None]
            if len(set(self.clients)) == 1:
                return
            time.sleep(0.1)

    def new_sampler(self, near):
        return SubscriberSampler(self, near)

    def look_once(self):
        sampler = self.new_sampler(0)
        try:
            return sampler.look()
        finally:
            sampler.client.close()

    def close(self):
        for g in self.groups.values():
            g.close()


# ---- what must hold ----

def check_publishers(c, story):
    r = c.report
    for name, f in zip(("news", "singles"), story.published):
        r.timing("%s: p99 of a publish, the worst window" % name, max(w["p99"] for w in f["windows"]), 500,
                 stall=c.pick(15000, 500))
        r.check("%s: every publish %s" % (name, story.door.published),
                set(f["status"]) == {story.door.published} and not f["uncertain"], str(f["status"]))


def check_stopped(c, story):
    r, plan = c.report, story.plan
    bound, after = plan.dispatch + plan.heartbeat + 5, story.cut_after()
    if after is None:
        r.check("stopped: all closed in time", False, "still there", "<= %d s" % bound)
    else:
        r.timing("stopped: all closed in time", after * 1000, bound * 1000,
                 stall=c.pick((plan.go_on - plan.stop) * 1000, bound * 1000))
    m = story.b.metrics()
    cut = int(m["sluice_connections_stopped_readers_total"] + m["sluice_connections_slow_readers_total"])
    r.equal("... each cut once", cut, plan.some)
    f = story.seen["stopped"]
    r.check("... back, they missed nothing", not f["lost"] and not f["duplicates"] and
            f["next"]["least"] == story.published[0]["next"], "%d came back" % f["resumed"],
            "%d lost, %d twice" % (f["lost"], f["duplicates"]))


def check_healthy(c, story):
    r = c.report
    wrong = {}
    for name in ("many", "singles", "churn"):
        f = story.seen[name]
        wrong[name] = (f["lost"], f["duplicates"])
        r.check("%s: none refused, none reset" % name, not f["refused"] and not f["reset"] and not f["failed"],
                "%d opened" % f["opened"], "%d ended and came back" % f["ended"])
    r.check("healthy: nothing lost, nothing twice", not any(sum(w) for w in wrong.values()),
            "%d events" % sum(story.seen[n]["events"] for n in wrong), str(wrong))
    for name, herald in (("many", 0), ("singles", 1)):
        place = story.seen[name]["next"]
        r.check("%s: everybody has the last message" % name,
                place["least"] == place["most"] == story.published[herald]["next"] and not place["silent"], str(place))


def check_counts(c, story):
    r, near = c.report, story.plan.churn
    samples = story.sampler.between(story.began, story.ended)
    r.most("gauge, sockets and list, furthest apart of %d samples" % len(samples), max(s["apart"] for s in samples), near,
           close=False)
    r.most("descriptors of nobody's, most", max(s["spare_fds"] for s in samples), near,
           close=False)
    r.check("at the end gauge, sockets, list and clients say the same", len(set(story.clients)) == 1, str(story.clients))
    r.most("CLOSE_WAIT, most", max(s["close_wait"] for s in samples), 50)
    r.most("queued for subscribers, most", int(max(s["read_buffer_high_water_bytes"] for s in samples)),
           int(samples[0]["read_buffer_limit_bytes"]), mib)
    r.equal("threads, the same all the time", len({s["Threads"] for s in samples}), 1)
    if not is_sanitized():
        r.most("RssAnon, most", max(s["RssAnon"] for s in samples), story.idle + story.plan.all * EACH + 64 * MiB, mib)
    r.key("%d deliveries" % sum(f["events"] for f in story.seen.values()))


def check_rest(c, story):
    r, b = c.report, story.b
    deadline = time.monotonic() + 60
    while b.metric("sluice_" + story.door.gauge) and time.monotonic() < deadline:
        time.sleep(0.1)
    r.equal("all have left: gauge", int(b.metric("sluice_" + story.door.gauge)), 0)
    settled(b, 60, r, "... nothing held, descriptors as before", story.idle_fds, slack=5)
    if not is_sanitized():
        r.most("... RssAnon", b.rss_anon(), story.idle + 64 * MiB, mib)


def tell(c, door):
    plan = Plan(c)
    with ScenarioBroker(**plan.settings(door, c.guard)) as b:
        story = Story(c, b, door, plan)
        try:
            story.open()
            story.stop_some()
            story.kill_some()
            story.end()
            story.sampler.save(c, "a6")
            check_publishers(c, story)
            check_stopped(c, story)
            check_healthy(c, story)
            check_counts(c, story)
            check_rest(c, story)
        finally:
            story.close()


FAILS = ["stopped: all closed in time", "... each cut once", "healthy: nothing lost, nothing twice"]

if __name__ == "__main__":
    main("A6 subscribers", [Part(door.name, functools.partial(tell, door=door), fails=FAILS, takes=(22, 930))
                            for door in (Native, Mercure)])
