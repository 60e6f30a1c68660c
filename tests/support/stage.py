"""A folder of stories that need a program from outside: all of them, or those whose name contains an
argument of the command line. The last line is "N passed, N failed, N skipped".
"""
import sys
import time
import unittest


class Result(unittest.TextTestResult):
    """A line for each test, with its time."""

    passed = 0

    def startTest(self, test):
        self.began = time.monotonic()
        unittest.TestResult.startTest(self, test)

    def say(self, word, test):
        print("%-4s %s (%.1f s)" % (word, test.id(), time.monotonic() - self.began), flush=True)

    def addSuccess(self, test):
        self.passed += 1
        self.say("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print("skip %s: %s" % (test.id(), reason), flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say("FAIL", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.say("FAIL", test)


def chosen(suite, words):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from chosen(item, words)
        elif not words or any(w in item.id() for w in words):
            yield item


def run(folder, missing):
    """The exit status. missing: why none of them can run; empty when they can."""
    tests = list(chosen(unittest.defaultTestLoader.discover(folder, "test_*.py"), sys.argv[1:]))
    if missing:
        print("skipped: " + missing)
        print("0 passed, 0 failed, %d skipped" % len(tests))
        return 0
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0)
    result = runner.run(unittest.TestSuite(tests))
    failed = len(result.failures) + len(result.errors)  # of a test that failed its tearDown may have, too
    print("%d passed, %d failed, %d skipped" % (result.passed, failed, len(result.skipped)))
    return 1 if failed or not result.testsRun else 0
