"""A scenario's parts, checks and figures, and what becomes of them."""
import argparse
import json
import sys
import time
import traceback

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


class Report:
    def __init__(self, title):
        self.title, self.began = title, time.monotonic()
        self.results = {}  # check: True, False or None (skipped)
        self.closeness = {}  # check: used / limit
        self.skipped = {}  # check: why
        self.keys = []  # what the table at the end shows of this part
        print("\n== " + title, flush=True)

    def figure(self, name, value, bound=""):
        print("   %-58s %16s  %s" % (name, value, bound), flush=True)

    def key(self, text):
        """A figure for the table at the end; short."""
        self.keys.append(text)

    def check(self, name, ok, value="", bound=""):
        """One verdict. The figure is printed beside what it was held against."""
        self.results[name] = bool(ok)
        self.figure(name, value, "%-28s %s" % (bound, "PASS" if ok else "FAIL"))
        return ok

    def most(self, name, value, bound, form=str, close=True):
        """`close`: being near this bound says something. Not so for a buffer that is meant to
        be full, nor for a figure held against an earlier one of its own."""
        if close and bound > 0:
            self.closeness[name] = value / bound
        return self.check(name, value <= bound, form(value), "<= " + form(bound))

    def least(self, name, value, bound, form=str):
        return self.check(name, value >= bound, form(value), ">= " + form(bound))

    def equal(self, name, value, wanted, form=str):
        return self.check(name, value == wanted, form(value), "= " + form(wanted))

    def timing(self, name, ms, bound, stall=5000):
        """A time on a machine that others use as well: printed beside its bound, judged
        only as a stall, unless `stall` is the bound itself."""
        ok = ms <= max(stall, bound)
        self.results[name] = ok
        note = "over, not judged: below the stall bound %g ms" % stall if ok and ms > bound else ""
        self.figure(name, "%.1f ms" % ms, "%-28s %s %s" % ("<= %g ms" % bound, "PASS" if ok else "FAIL", note))
        return ok

    def skip(self, name, why):
        self.results[name], self.skipped[name] = None, why
        self.figure(name, "", "skipped: " + why)


def mib(n):
    return "%.2f MiB" % (n / MiB)


# ---- the promise, in every part ----

PROMISE = "RssAnon, most, to memory_limit"
_peaks = []  # (RssAnon, memory_limit) of the brokers of this part


def note_peak(rss_anon, limit):
    """A broker's most anonymous memory, by whoever watched it."""
    _peaks.append((rss_anon, limit))


def judge_peaks(report):
    """The broker that came nearest to its limit."""
    if not _peaks:
        return None
    peak = max(_peaks, key=lambda p: p[0] / p[1])
    report.most(PROMISE, *peak, mib)
    return peak


# ---- a scenario's command line ----

class Context:
    def __init__(self, report, full, guard, csv_dir):
        self.report, self.full, self.guard, self.csv_dir = report, full, guard, csv_dir

    def pick(self, ci, full):
        return full if self.full else ci


class Part:
    """`run(context)`; `fails`: the checks that must fail once the protection is off; `takes`:
    about how many seconds, in the short and in the full profile."""

    def __init__(self, name, run, fails=(), guard_only=False, takes=(0, 0)):
        self.name, self.run, self.fails = name, run, fails
        self.guard_only, self.takes = guard_only, takes


def arguments(parts):
    a = argparse.ArgumentParser()
    a.add_argument("--profile", choices=("ci", "full"), default="ci")
    a.add_argument("--full", action="store_const", const="full", dest="profile")
    a.add_argument("--guard", action="store_true", help="protection off: the checks must fail")
    a.add_argument("--only", metavar="PART", action="append", choices=[p.name for p in parts])
    a.add_argument("--csv", metavar="DIR", help="keep the samples there")
    a.add_argument("--list", action="store_true", help="the parts, and about how long each takes")
    a.add_argument("--results", metavar="FILE", help="append a line of JSON for each part")
    return a.parse_args()


def run_part(part, args, title):
    report = Report(title + ("  (guard: protection off)" if args.guard else ""))
    del _peaks[:]
    report.peak = None
    try:
        part.run(Context(report, args.profile == "full", args.guard, args.csv))
        report.peak = judge_peaks(report)
    except Exception as e:
        traceback.print_exc(file=sys.stdout)
        report.check("runs to its end", False, type(e).__name__, "no exception")
    return report


def guard_verdict(part, report, title):
    """The guard holds when every check named by it failed. One that did not run shows nothing;
    a part that could not run at all is skipped with its reason."""
    verdict = Report(title + ": without its protection it fails")
    if report.skipped and len(report.skipped) == len(report.results):
        for name in part.fails:
            verdict.skip(name, "; ".join(report.skipped.values()))
        return verdict
    for name in part.fails:
        verdict.check(name, report.results.get(name) is False,
                      {True: "passes", False: "fails", None: "not run"}[report.results.get(name)],
                      "must fail")
        print("   mechanism off: %s: %s" % ("fails as it must" if verdict.results[name] else
                                            "DOES NOT FAIL", name))
    return verdict


def write_result(path, name, part, report, judged):
    line = {"scenario": name, "part": part.name, "seconds": time.monotonic() - report.began,
            "results": judged.results, "closeness": report.closeness, "keys": report.keys,
            "peak": report.peak}
    with open(path, "a") as f:
        f.write(json.dumps(line) + "\n")


def list_parts(parts):
    print("   %-34s %8s %8s  %s" % ("part", "short", "full", "guard"))
    for p in parts:
        print("   %-34s %6d s %6d s  %s" % (p.name, p.takes[0], p.takes[1], "; ".join(p.fails) or "-"))


def main(name, parts):
    args = arguments(parts)
    if args.list:
        print(name)
        list_parts(parts)
        return
    counts = {True: 0, False: 0, None: 0}
    lines = []
    for part in parts:
        if (args.only and part.name not in args.only) or (args.guard and not part.fails) or \
                (part.guard_only and not args.guard):
            continue
        title = "%s: %s" % (name, part.name) if len(parts) > 1 else name
        report = run_part(part, args, title)
        judged = guard_verdict(part, report, title) if args.guard else report
        print("   (%.0f s)" % (time.monotonic() - report.began), flush=True)
        if args.results:
            write_result(args.results, name, part, report, judged)
        for check, result in judged.results.items():
            counts[result] += 1
            if result is not True:
                lines.append(("FAILED  %s: %s" % (title, check)) if result is False else
                             "skipped  %s: %s: %s" % (title, check, judged.skipped[check]))
    print("\n" + "".join(line + "\n" for line in lines), end="")
    print("%d passed, %d failed, %d skipped" % (counts[True], counts[False], counts[None]))
    sys.exit(1 if counts[False] or not sum(counts.values()) else 0)
