"""Import of the sample through a running backbone: events/s, peak memory of each process, and where the writer's time goes.

Run by `make bench`. Beside the figure stands the disk's own sync rate of the same run, since the machine may be noisy.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from infra.tlog.tiles import read_head

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
TOLD_EVERY = 200_000  # events


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scale", type=float, default=0.1)
    arguments.add_argument("--without-views", action="store_true", help="hold the reader while rows are imported")
    arguments.add_argument("--profile", action="store_true", help="sample the writer with py-spy (slows it a little)")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(Path(scratch), asked.scale, asked.profile, not asked.without_views)


def run(scratch: Path, scale: float, profile: bool, views: bool) -> None:
    book, data, raw = scratch / "sample.csv", scratch / "data", scratch / "writer.raw"
    with book.open("wb") as out:
        subprocess.run([BIN / "ektp", "sample", "cilegon", "--scale", str(scale)], stdout=out, check=True)
    syncs_per_s = sync_rate(scratch / "sync")
    start = [BIN / "ektp", "up", "--data", data]
    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True) as up, contextlib.ExitStack() as stopping:
        stopping.callback(up.send_signal, 2)  # also where something fails, or it would be waited for without end
        assert up.stdout is not None
        assert up.stdout.readline().startswith("ready")
        parts = {part_name(process): process for process in [psutil.Process(up.pid), *psutil.Process(up.pid).children()]}
        if not views:
            parts["reader"].suspend()
        spy = None
        if profile:
            command = [BIN / "py-spy", "record", "-p", str(parts["writer"].pid), "-f", "raw", "-o", raw, "-r", "200"]
            spy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        importing = subprocess.Popen(
            [BIN / "ektp", "import", book, "--data", data, "--json"], stdout=subprocess.PIPE, text=True
        )
        importer = psutil.Process(importing.pid)
        parts["import"], importer_peak, next_told = importer, 0, TOLD_EVERY
        while importing.poll() is None:
            importer_peak = max(importer_peak, peak_mb(importer))
            if (signed := signed_size(data)) >= next_told:
                server = parts["nats-server"]
                used_s = server.cpu_times().user + server.cpu_times().system
                print(
                    f"{signed:9} signed: nats-server {server.memory_info().rss >> 20} MB, {used_s:.1f} s of CPU", flush=True
                )
                next_told = signed + TOLD_EVERY
            time.sleep(0.05)
        assert importing.stdout is not None
        imported = json.load(importing.stdout)
        if spy:
            spy.send_signal(2)
            spy.wait()
        print(
            f"{imported['events_added']} events in {imported['seconds']:.1f} s: {imported['events_per_second']:.0f} events/s"
        )
        ratio = imported["events_per_second"] / syncs_per_s
        print(f"the disk alone: {syncs_per_s:.0f} syncs/s of 4 KiB; events per sync: {ratio:.1f}")
        for name, process in parts.items():
            if name != "import":
                cpu = process.cpu_times()
                print(f"{name:12} peak {peak_mb(process):4} MB, {cpu.user + cpu.system:6.1f} s of CPU")
        print(f"{'import':12} peak {importer_peak:4} MB")
        parts["writer"].kill()  # the next one holds no case in memory
        again = subprocess.run([BIN / "ektp", "import", book, "--data", data, "--json"], stdout=subprocess.PIPE, check=True)
        known = json.loads(again.stdout)
        print(f"the same book again, by a new writer: {known['events_already_there'] / known['seconds']:.0f} rows/s")
        parts["reader"].resume()
    if profile:
        print_profile(raw)


def part_name(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    return next((name for name in ("nats-server", "writer", "reader") if name in command), "up")


def signed_size(data: Path) -> int:
    """How many events the newest checkpoint covers: a cheap sign of how far the import is."""
    head = read_head(data / "log")
    return head[0].size if head else 0


def peak_mb(process: psutil.Process) -> int:
    """Peak resident memory so far (Linux: VmHWM)."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def sync_rate(file: Path, seconds: float = 2) -> float:
    """How often this disk takes 4 KiB and says that it is durable."""
    fd, count, ends = os.open(file, os.O_CREAT | os.O_WRONLY), 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        os.pwrite(fd, b"x" * 4096, count * 4096)
        os.fdatasync(fd)
        count += 1
    os.close(fd)
    return count / seconds


def print_profile(raw: Path) -> None:
    """Share of the writer's busy samples in which each of these functions was on the stack."""
    on_stack: Counter[str] = Counter()
    total = 0
    for line in raw.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = {frame.rpartition(":")[0] for frame in stack.split(";")}
        if any("threading.py" in frame or "select (selectors" in frame for frame in frames):
            continue  # waiting
        total += int(count)
        on_stack.update({frame: int(count) for frame in frames})
    ours = ("services/", "events/", "infra/", "nats/aio", "faststream/")
    print("writer, share of its busy time with this function on the stack:")
    for frame, count in on_stack.most_common(60):
        if any(f"({folder}" in frame for folder in ours):
            print(f"  {count / total:5.1%}  {frame})")


if __name__ == "__main__":
    main()
