"""What all scenarios came to, as one table: from the lines that verdict.py writes."""
import json

from verdict import PROMISE, mib

CLOSEST = 5


def read(file):
    return [json.loads(line) for line in file if line.strip()]


def verdict_of(row):
    failed = [name for name, ok in row["results"].items() if ok is False]
    if failed:
        return "FAIL"
    return "skip" if all(ok is None for ok in row["results"].values()) else "PASS"


def _part(row):
    peak, limit = row["peak"] or (None, None)
    memory = "%9s of %s" % (mib(peak), mib(limit)) if limit else "-"
    closest = max(row["closeness"].items(), key=lambda c: c[1], default=None)
    near = "%3.0f %% %s" % (100 * closest[1], closest[0]) if closest else "-"
    return "%-24s %-26s %-5s %5.0f s  %-26s %-58s %s" % (
        row["scenario"][:24], row["part"][:26], verdict_of(row), row["seconds"], memory, near[:58], "; ".join(row["keys"]))


def closest_calls(rows):
    """(used / limit, bound, scenario, part), the nearest first."""
    return sorted(((used, name, row["scenario"], row["part"])
                   for row in rows for name, used in row["closeness"].items()), reverse=True)


def _promise(rows):
    """The most of memory_limit that any broker used."""
    held = [(row["peak"][0] / row["peak"][1], row) for row in rows if row["peak"]]
    if not held:
        return []
    used, row = max(held, key=lambda x: x[0])
    return ["RssAnon nearest to memory_limit: %.0f %%, %s of %s (%s: %s)" % (
        100 * used, mib(row["peak"][0]), mib(row["peak"][1]), row["scenario"], row["part"])]


def _guards(rows):
    """One line for each scenario: what failed without its protection, as it must."""
    out, names = [], dict.fromkeys(row["scenario"] for row in rows)
    for name in names:
        mine = [(row["part"], check, ok) for row in rows if row["scenario"] == name
                for check, ok in row["results"].items() if ok is not None]
        held = ["%s: %s" % (part, check) for part, check, ok in mine if ok]
        loose = ["%s: %s" % (part, check) for part, check, ok in mine if not ok]
        if held:
            out.append("%s: mechanism off: fails as it must: %s" % (name, "; ".join(held)))
        if loose:
            out.append("%s: mechanism off: DOES NOT FAIL: %s" % (name, "; ".join(loose)))
    return out


def render(rows, profile):
    rows = sorted(rows, key=lambda row: row["scenario"])
    if profile == "guard":
        return "\n".join(_guards(rows)) + "\n"
    lines = ["%-24s %-26s %-5s %7s  %-26s %-58s %s" % ("scenario", "part", "", "took", "RssAnon, of memory_limit",
                                                      "closest call: used of the bound", "figures")]
    lines += [_part(row) for row in rows]
    lines += [""] + _promise(rows)
    calls = [c for c in closest_calls(rows) if c[1] != PROMISE]
    lines += ["closest calls, of %d bounds:" % len(calls)]
    lines += ["   %3.0f %%  %s (%s: %s)" % (100 * used, name, scenario, part)
              for used, name, scenario, part in calls[:CLOSEST]]
    return "\n".join(lines) + "\n"
