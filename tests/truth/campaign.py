"""Many sequences, each in a process of its own, and what they found, summed up."""

from __future__ import annotations

import argparse
import os
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tests.truth import sequence
from tests.truth.planted import PLANTED
from tests.truth.sequence import Told


class Child:
    """A forked process that runs one sequence and sends what came of it through a pipe."""

    def __init__(self, work: Callable[[], Told]) -> None:
        self.began = time.monotonic()
        receiving, sending = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(receiving)
                told = work()
                with os.fdopen(sending, "wb") as stream:
                    pickle.dump(told, stream)
                code = 0
            finally:
                os._exit(code)
        os.close(sending)
        self._receiving = receiving

    def result(self) -> Told | None:
        with os.fdopen(self._receiving, "rb") as stream:
            raw = stream.read()
        os.waitpid(self.pid, 0)
        return pickle.loads(raw) if raw else None


def run_all(tasks: Sequence[Callable[[], Told]], at_once: int) -> Iterator[Told | None]:
    """Run the tasks, so many at the same time, and yield what came of each in their order."""
    running: list[Child] = []
    waiting = list(tasks)
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(Child(waiting.pop(0)))
        yield running.pop(0).result()


def run(options: argparse.Namespace, template: Path) -> dict[str, Any]:

    began = time.monotonic()
    numbers = [options.only] if options.only is not None else list(range(options.sequences))
    tasks = [partial(sequence.run, options.seed, number, options.steps, template) for number in numbers]
    results = []
    for number, told in zip(numbers, run_all(tasks, options.jobs), strict=True):
        if told is None:
            told = Told(number, options.seed, findings=[{"kind": "raised", "words": "the process died", "step": -1}])
        results.append(told)
        mark = "; ".join(finding["words"][:400] for finding in told.findings) or "true"
        print(f"{number}: {told.backups} backups, {told.seconds} s: {mark}", flush=True)
        if told.findings:
            for line in told.steps:
                print(f"    {line}")
            print(flush=True)
    return _report(options, results, time.monotonic() - began)


def run_planted(options: argparse.Namespace, template: Path) -> dict[str, Any]:
    """Plant one error after the other; each must be seen within `sequences` sequences. Return what came of it."""
    began, results = time.monotonic(), []
    for error in [each for each in PLANTED if options.error in (None, each.name)]:
        tasks = [
            partial(sequence.run, options.seed, number, options.steps, template, (), error)
            for number in range(options.sequences)
        ]
        caught = next((told for told in run_all(tasks, options.jobs) if told is not None and told.findings), None)
        words = caught.findings[0]["words"][:200] if caught else "NOT CAUGHT"
        results.append({"name": error.name, "kind": error.kind, "caught": caught is not None, "words": words})
        print(f"{'caught' if caught else 'MISSED'}: {error.name}: {words}", flush=True)
    count = sum(bool(result["caught"]) for result in results)
    sentence = (
        f"{count} of {len(results)} planted errors were caught within {options.sequences} sequences each, "
        f"seed {options.seed}, in {time.monotonic() - began:.0f} s."
    )
    told = {"sequences": 0, "false_greens": 0, "stuck": 0, "planted": len(results), "caught": count}
    return told | {"passed": count == len(results), "sentence": sentence, "results": results}


def _report(options: argparse.Namespace, results: list[Told], seconds: float) -> dict[str, Any]:
    kinds = Counter(finding["kind"] for told in results for finding in told.findings)
    wrong = sum(bool(told.findings) for told in results)
    steps, backups = sum(len(told.steps) for told in results), sum(told.backups for told in results)
    judged = sum(told.restic_judgements for told in results)
    sentence = (
        f"{len(results)} sequences of seed {options.seed} with {steps} steps and {backups} backups in {seconds:.0f} s: "
        f"{kinds['false green']} false greens, {kinds['stuck']} stuck, {wrong} sequences with findings; "
        f"stock restic judged {judged} copies."
    )
    return {
        "sequences": len(results),
        "false_greens": kinds["false green"],
        "stuck": kinds["stuck"],
        "planted": 0,
        "caught": 0,
        "findings": dict(kinds),
        "steps": steps,
        "backups": backups,
        "restic_judgements": judged,
        "seconds": round(seconds, 1),
        "seed": options.seed,
        "passed": not wrong,
        "sentence": sentence,
        "results": [asdict(told) for told in results if told.findings],
    }
