"""Amazon's event-ruler as a ceiling: rules in a finite automaton, in Java, matched on one thread.

It is a program beside Homeport and no dependency of it. The bench has Maven bring its jars, those
in event_ruler_jars.txt, checks them against the digests there, and has java run one source file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load.rule_population import MixedRule
from bench.suite.measurement import Failed, Skipped

FETCH_WITHIN_S: Final = 300
RUN_WITHIN_S: Final = 600
WARM_UP_S: Final = 4
_JARS: Final = Path(__file__).with_name("event_ruler_jars.txt")
_PROGRAM: Final = Path(__file__).with_name("EventRulerMatching.java")
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RulerRun:
    """per_s: events a second by processor time, a value a round. found: names of the rules that
    each event matches."""

    per_s: Sequence[float]
    found: Sequence[frozenset[str]]


def jars(folder: Path) -> str:
    """A class path with event-ruler and what it needs, in the folder; fetched where they are not
    there. Raises Skipped where that cannot be, Failed where one is not what it should be."""
    for program, package in (("java", "default-jdk-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise Skipped(f"{program} is not installed (apt-get install {package})")
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Path] = []
    for line in _JARS.read_text().splitlines():
        name, digest = line.split()
        _, artifact, release = name.split(":")
        path = folder / f"{artifact}-{release}.jar"
        if not path.exists():
            _fetch(name, folder)
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            path.unlink()
            raise Failed(f"{name} is not the jar that was pinned; it was removed")
        found.append(path)
    return os.pathsep.join(map(str, found))


def _fetch(name: str, folder: Path) -> None:
    words = ["mvn", "-q", "-B", _COPY, f"-Dartifact={name}", f"-DoutputDirectory={folder}"]
    try:
        subprocess.run(words, capture_output=True, text=True, check=True, timeout=FETCH_WITHIN_S)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stdout", None) or error).strip().splitlines()
        raise Skipped(f"{name} cannot be fetched: {said[-1] if said else error}") from error


def match(
    class_path: str, folder: Path, rules: Sequence[MixedRule], events: Sequence[bytes], rounds: int
) -> RulerRun:
    """All the events by all the rules; files are made in the folder. Raises Failed where it does
    not come to an end, Skipped where this Java runs no source files."""
    of_rules, of_events, of_found = (folder / name for name in ("rules", "events", "found"))
    of_rules.write_text("".join(f"{one.name}\t{json.dumps(one.pattern)}\n" for one in rules))
    of_events.write_bytes(b"".join(one + b"\n" for one in events))
    words = ["java", "-cp", class_path, str(_PROGRAM), str(of_rules), str(of_events),
             str(of_found), str(WARM_UP_S), str(rounds)]  # fmt: skip
    try:
        run = subprocess.run(
            words, capture_output=True, text=True, check=True, timeout=RUN_WITHIN_S
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"event-ruler did not end within {RUN_WITHIN_S} s") from error
    except subprocess.CalledProcessError as error:
        if "jdk.compiler" in error.stderr:
            raise Skipped("this Java has no compiler (apt-get install default-jdk-headless)") from (
                error
            )
        raise Failed(f"event-ruler ended with {error.returncode}: {error.stderr[-2_000:]}") from (
            error
        )
    found = of_found.read_text().splitlines()
    return RulerRun(
        per_s=[float(line) for line in run.stdout.split()],
        found=[frozenset(line.split(",")) if line else frozenset() for line in found],
    )
