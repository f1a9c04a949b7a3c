"""The crates that are linked into the program."""

import json
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = f"{platform.machine()}-unknown-linux-gnu"


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked():
    """Their packages as cargo describes them, by name and version, without the program's own.

    What only builds or tests need is left out, and so is what is only there with the features that tests ask for."""
    edges = "no-dev,no-build,no-proc-macro"
    lines = cargo("tree", "--target", TARGET, "--edges", edges, "--prefix", "none", "--format", "{p}").splitlines()
    names = {tuple(line.split()[:2]) for line in lines if line}
    told = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", TARGET))
    return sorted(
        (it for it in told["packages"] if it["source"] and (it["name"], "v" + it["version"]) in names),
        key=lambda it: (it["name"], it["version"]),
    )
