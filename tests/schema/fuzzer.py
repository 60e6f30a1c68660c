"""schemathesis as requirements.txt pins it, in build/schema/, never in the source."""
import filecmp
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LIST = os.path.join(HERE, "requirements.txt")
FOLDER = os.path.join(HERE, "..", "..", "build", "schema")
PROGRAM = os.path.join(FOLDER, "bin", "schemathesis")
OUT_OF_REACH = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ProxyError", "ReadTimeoutError",
                "Network is unreachable", "Connection refused")


def are_there():
    there = os.path.join(FOLDER, "requirements.txt")
    return os.path.exists(PROGRAM) and os.path.exists(there) and filecmp.cmp(LIST, there, shallow=False)


def quietly(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=300)


def what_is_missing():
    """Empty when it is there, or has come."""
    if are_there():
        return ""
    shutil.rmtree(FOLDER, ignore_errors=True)
    if quietly(sys.executable, "-m", "venv", FOLDER).returncode:
        shutil.rmtree(FOLDER, ignore_errors=True)
        return "python3 makes no virtual environment (Debian: python3-venv)"
    done = quietly(os.path.join(FOLDER, "bin", "pip"), "install", "-q", "--retries", "1", "-r", LIST)
    if done.returncode:
        shutil.rmtree(FOLDER)
        if any(word in done.stdout for word in OUT_OF_REACH):
            return "pip reaches no registry"
        raise AssertionError("pip install:\n" + done.stdout)
    shutil.copy(LIST, FOLDER)
    return ""


def ask(address, examples, seed, *more):
    """The exit status and all that it said."""
    done = subprocess.run(
        [PROGRAM, "run", "http://%s/openapi.json" % address, "--phases", "coverage,fuzzing",
         "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
         "--max-examples", str(examples), "--seed", str(seed), "--request-timeout", "20", "--continue-on-failure",
         # What it thinks of its own speed, and of schemas that leave it little choice.
         "--suppress-health-check", "all", "--warnings", "off", "--generation-database", "none", "--no-color", *more],
        cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=1200)
    return done.returncode, done.stdout
