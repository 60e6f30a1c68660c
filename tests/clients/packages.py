"""The packages that package-lock.json pins, for node to find: in build/clients/, never in the source."""
import filecmp
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "..", "..", "build", "clients")
LISTS = ("package.json", "package-lock.json")
OUT_OF_REACH = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH")


class Unreachable(Exception):
    """The registry that npm is set up for does not answer."""


def are_there():
    return os.path.isdir(os.path.join(FOLDER, "node_modules")) and all(
        filecmp.cmp(os.path.join(HERE, name), os.path.join(FOLDER, name), shallow=False) for name in LISTS)


def fetch():
    """Exactly those of the lock: npm compares their hashes, and no script of theirs is run."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    for name in LISTS:
        shutil.copy(os.path.join(HERE, name), FOLDER)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"], cwd=FOLDER,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    if done.returncode:
        shutil.rmtree(FOLDER)
        if any(code in done.stdout for code in OUT_OF_REACH):
            raise Unreachable()
        raise AssertionError("npm ci:\n" + done.stdout)


def what_is_missing():
    """Empty when they are there, or have come."""
    if not shutil.which("node"):
        return "there is no node (Debian: nodejs)"
    if are_there():
        return ""
    if not shutil.which("npm"):
        return "there is no npm"
    try:
        fetch()
    except Unreachable:
        return "npm reaches no registry"
    return ""
