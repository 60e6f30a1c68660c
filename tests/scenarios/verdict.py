"""A scenario's parts, checks and figures, and what becomes of them."""
import argparse
import sys
import time
import traceback

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


class Report:
    def __init__(self, title):
        self.title, self.began = title, time.monotonic()
        self.results = {}  # check: True, False or None (skipped)
        print("\n== " + title, flush=True)

    def figure(self, name, value, bound=""):
        print("   %-58s %16s  %s" % (name, value, bound), flush=True)

    def check(self, name, ok, value="", bound=""):
        """One verdict. The figure is printed beside what it was held against."""
        self.results[name] = bool(ok)
        self.figure(name, value, "%-28s %s" % (bound, "PASS" if ok else "FAIL"))
        return ok

    def most(self, name, value, bound, form=str):
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
        self.results[name] = None
        self.figure(name, "", "skipped: " + why)


def mib(n):
    return "%.2f MiB" % (n / MiB)


# ---- a scenario's command line ----

class Context:
    def __init__(self, report, full, guard, csv_dir):
        self.report, self.full, self.guard, self.csv_dir = report, full, guard, csv_dir

    def pick(self, ci, full):
        return full if self.full else ci


class Part:
    """`run(context)`; `fails`: the checks that must fail once the protection is off."""

    def __init__(self, name, run, fails=(), guard_only=False):
        self.name, self.run, self.fails, self.guard_only = name, run, fails, guard_only


def arguments(parts):
    a = argparse.ArgumentParser()
    a.add_argument("--profile", choices=("ci", "full"), default="ci")
    a.add_argument("--full", action="store_const", const="full", dest="profile")
    a.add_argument("--guard", action="store_true", help="protection off: the checks must fail")
    a.add_argument("--only", metavar="PART", action="append", choices=[p.name for p in parts])
    a.add_argument("--csv", metavar="DIR", help="keep the samples there")
    return a.parse_args()


def run_part(part, args, title):
    report = Report(title + ("  (guard: protection off)" if args.guard else ""))
    try:
        part.run(Context(report, args.profile == "full", args.guard, args.csv))
    except Exception as e:
        traceback.print_exc(file=sys.stdout)
        report.check("runs to its end", False, type(e).__name__, "no exception")
    if not args.guard:
        return report
    verdict = Report(title + ": without its protection it fails")
    for name in part.fails:
        verdict.check(name, report.results.get(name) is False,
                      {True: "passes", False: "fails", None: "not run"}[report.results.get(name)],
                      "must fail")
    return verdict


def main(name, parts):
    args = arguments(parts)
    counts = {True: 0, False: 0, None: 0}
    failed = []
    for part in parts:
        if (args.only and part.name not in args.only) or (args.guard and not part.fails) or \
                (part.guard_only and not args.guard):
            continue
        title = "%s: %s" % (name, part.name) if len(parts) > 1 else name
        report = run_part(part, args, title)
        print("   (%.0f s)" % (time.monotonic() - report.began))
        for check, result in report.results.items():
            counts[result] += 1
            if result is False:
                failed.append("%s: %s" % (title, check))
    print()
    for line in failed:
        print("FAILED  " + line)
    print("%d passed, %d failed, %d skipped" % (counts[True], counts[False], counts[None]))
    sys.exit(1 if counts[False] or not counts[True] else 0)
