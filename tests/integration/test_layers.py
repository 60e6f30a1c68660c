"""The layers point down only: what includes upward does not compile."""
import json
import os
import shlex
import subprocess
import tempfile
import unittest

from sluicetest import BIN

ABOVE = {"storage": ["ledger.h", "loop.h"], "broker": ["loop.h", "request.h"]}
BELOW = {"storage": ["store.h", "base/err.h"], "broker": ["ledger.h", "store.h"]}


class Layers(unittest.TestCase):
    """With the very flags that the layer's own files are compiled with."""

    def flags(self, layer):
        with open(os.path.join(os.path.dirname(BIN), "compile_commands.json")) as f:
            for entry in json.load(f):
                if "/%s/" % layer in entry["file"] and "/tests/" not in entry["file"]:
                    words = entry.get("arguments") or shlex.split(entry["command"])
                    return entry["directory"], [w for before, w in zip([""] + words, words)
                                                if w[:2] in ("-I", "-D") or w.startswith("-std") or
                                                "-iquote" in (before, w)]
        self.fail("no file of %s is compiled" % layer)

    def compiles(self, layer, header, text=""):
        directory, flags = self.flags(layer)
        with tempfile.NamedTemporaryFile("w", suffix=".c") as f:
            f.write('#include %s\n%s\n' % (header if header[0] == "<" else '"%s"' % header, text))
            f.flush()
            done = subprocess.run(["cc", "-fsyntax-only"] + flags + [f.name], cwd=directory, capture_output=True)
        return done.returncode == 0

    def test_a_layer_sees_itself_and_what_is_below(self):
        for layer, headers in BELOW.items():
            for header in headers:
                self.assertTrue(self.compiles(layer, header), "%s includes %s" % (layer, header))

    def test_a_layer_does_not_see_what_is_above(self):
        for layer, headers in ABOVE.items():
            for header in headers:
                self.assertFalse(self.compiles(layer, header), "%s includes %s" % (layer, header))

    def test_no_header_of_ours_stands_in_for_one_of_the_system(self):
        for layer in "broker", "http":
            self.assertTrue(self.compiles(layer, "<limits.h>", "int most = INT_MAX;"), layer)
