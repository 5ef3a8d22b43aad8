"""Times by alternating runs, and the memory of one run in a process of its own."""

import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.case import Case, Peer, Work

ROUNDS = 7
SHORTEST = 0.03  # seconds of one measurement; a shorter function is called several times
OURS = "corelib"


@contextmanager
def threads(count: int):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    with threadpool_limits(count):
        yield
    torch.set_num_threads(before)


def seconds(work: Work, calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - begin) / calls


def calls_for(work: Work) -> int:
    work()
    return max(1, math.ceil(SHORTEST / seconds(work, 1)))


def measure(case: Case, *, rounds: int = ROUNDS, memory: bool = True) -> dict:
    """Median times of the library and of every installed peer, run in turns; ratios within a round."""
    rounds = min(rounds, case.rounds or rounds)
    data = case.make(True)
    ours = case.ours(data)
    peers = {peer.name: peer.prepare(data) for peer in case.peers if peer.installed}
    for peer in case.peers:
        if peer.installed and not peer.yardstick:
            check_agreement(case, peer, ours(), peers[peer.name]())
    contenders = {OURS: ours, **peers}
    calls = {name: calls_for(work) for name, work in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    alone: list[float] = []
    before = processor_seconds()
    for _ in range(rounds):
        for name, work in contenders.items():
            times[name].append(seconds(work, calls[name]))
        with threads(1):
            ours()
            alone.append(seconds(ours, calls[OURS]))
    others = share_of_others(before, processor_seconds())
    return {
        "slug": case.slug,
        "title": case.title,
        "size": case.size,
        "rounds": rounds,
        "others": others,
        "seconds": rounded(statistics.median(times[OURS])),
        "seconds_one_thread": rounded(statistics.median(alone)),
        "megabytes": peak_megabytes(case, OURS) if memory else None,
        "peers": [outcome(case, peer, times, memory=memory) for peer in case.peers],
    }


def outcome(case: Case, peer: Peer, times: dict[str, list[float]], *, memory: bool) -> dict:
    told = {
        "name": peer.name,
        "yardstick": peer.yardstick,
        "predicted": peer.predicted,
        "installed": peer.installed,
    }
    if not peer.installed:
        return told
    whole = [seconds / peer.share for seconds in times[peer.name]]
    factors = [theirs / ours for theirs, ours in zip(whole, times[OURS], strict=True)]
    return told | {
        "seconds": rounded(statistics.median(whole)),
        "factor": rounded(statistics.median(factors)),
        "lowest": rounded(min(factors)),
        "highest": rounded(max(factors)),
        "megabytes": peak_megabytes(case, peer.name) if memory else None,
    }


def check_agreement(case: Case, peer: Peer, ours: object, theirs: object) -> None:
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    scale = np.abs(theirs).max() if ours.ndim > 1 else np.abs(theirs)
    error = np.max(np.abs(ours - theirs) / scale)
    if not error <= peer.tolerance:
        raise AssertionError(
            f"{case.slug}: {OURS} and {peer.name} differ by {error:.2g}, more than {peer.tolerance:g}"
        )


def processor_seconds() -> tuple[float, float, float] | None:
    """Wall time, processor time of the whole machine and of this process; None where the system does not tell."""
    if not os.path.exists("/proc/stat"):
        return None
    with open("/proc/stat") as file:
        user, nice, system, _idle, _wait, irq, soft, steal = map(int, file.readline().split()[1:9])
    machine = (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), machine, time.process_time()


def share_of_others(begin: tuple | None, end: tuple | None) -> float | None:
    """The part of the machine's processor time that other processes took: their runs make ours slower."""
    if begin is None or end is None:
        return None
    wall, machine, own = (b - a for a, b in zip(begin, end, strict=True))
    return round(max(machine - own, 0) / (wall * os.cpu_count()), 3)


def rounded(number: float) -> float:
    return float(f"{number:.4g}")


def peak_megabytes(case: Case, name: str) -> float | None:
    """Memory that one run needs beyond its data, in a fresh process; None where the system does not tell."""
    if not os.path.exists("/proc/self/clear_refs"):
        return None
    returned = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # freed arrays go back to the system at once
    command = [sys.executable, "-m", "benchmarks", "--memory", case.slug, name]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=returned).stdout
    return json.loads(answer.splitlines()[-1])


def own_peak_megabytes(case: Case, name: str) -> float:
    """The high-water mark of one full run above where it began, after a tiny run for what is set up but once."""
    prepare = {OURS: case.ours, **{peer.name: peer.prepare for peer in case.peers}}[name]
    prepare(case.make(False))()
    work = prepare(case.make(True))
    gc.collect()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the high-water mark starts anew
    begin = memory_of("VmRSS")
    work()
    return round(max(memory_of("VmHWM") - begin, 0.0), 1)


def memory_of(field: str) -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field + ":"))
