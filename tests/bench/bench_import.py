"""Import of the sample through a running backbone: events/s, peak memory of each process, and where the writer's time goes;
then the same book again, rebuilding the views of all of it, and a question about another time.

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
from typing import Any

import psutil

from infra.tlog.tiles import read_head

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
TOLD_EVERY = 200_000  # events


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scale", type=float, default=0.1)
    arguments.add_argument("--without-views", action="store_true", help="hold the reader while rows are imported")
    arguments.add_argument("--resume-at", type=float, default=1.0, help="share of the rows that the first import has")
    arguments.add_argument("--profile", action="store_true", help="sample the writer with py-spy (slows it a little)")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(Path(scratch), asked.scale, asked.profile, not asked.without_views, asked.resume_at)


def run(scratch: Path, scale: float, profile: bool, views: bool, resume_at: float) -> None:
    book, begun, data, raw = (scratch / name for name in ("sample.csv", "begun.csv", "data", "writer.raw"))
    with book.open("wb") as out:
        subprocess.run([BIN / "ektp", "sample", "cilegon", "--scale", str(scale)], stdout=out, check=True)
    rows = book.read_bytes().splitlines(keepends=True)
    begun.write_bytes(b"".join(rows[: 1 + round(resume_at * (len(rows) - 1))]))
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
            [BIN / "ektp", "import", begun, "--data", data, "--json"], stdout=subprocess.PIPE, text=True
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
        parts["reader"].resume()
        if views:
            wait_for_views(data)
        import_again(data, book, resume_at, up.pid)
        if views:
            ask_of_all(data, parts["reader"])
    if profile:
        print_profile(raw)


def import_again(data: Path, book: Path, resume_at: float, up: int) -> None:
    """The whole book where only a share was imported, then once more; each by a new writer, with no case in memory."""
    if resume_at < 1:
        kill_writer(up)
        told = ektp(data, "import", book)
        print(
            f"resumed at {resume_at:.0%}: {told['events_already_there']} known, {told['events_added']} added"
            f" in {told['seconds']:.1f} s"
        )
    kill_writer(up)
    known = ektp(data, "import", book)
    print(f"the same book again, by a new writer: {known['events_already_there'] / known['seconds']:.0f} rows/s")


def kill_writer(up: int) -> None:
    next(part for part in psutil.Process(up).children() if part_name(part) == "writer").kill()


def ask_of_all(data: Path, reader: psutil.Process) -> None:
    """How long rebuilding takes, and questions about another time, once the views have everything."""
    wait_for_views(data)
    before_mb = reader.memory_info().rss >> 20
    for words in (
        ["rebuild"],
        ["coverage", "--as-of", "2014-06-30T12:00"],
        ["sla", "--as-of", "2014-06-30T12:00"],
        ["replay"],
    ):
        began = time.monotonic()
        ektp(data, *words)
        print(f"ektp {' '.join(words)}: {time.monotonic() - began:.1f} s")
    print(f"reader before: {before_mb} MB; peak so far {peak_mb(reader)} MB")


def wait_for_views(data: Path) -> None:
    """Until they hold the whole journal."""
    while not any(check["says"].endswith(", 0 events behind") for check in ektp(data, "doctor", check=False)["checks"]):
        time.sleep(1)


def ektp(data: Path, *words: object, check: bool = True) -> dict[str, Any]:
    """What a command answers."""
    told = subprocess.run([BIN / "ektp", *words, "--data", data, "--json"], stdout=subprocess.PIPE, check=check)
    document: dict[str, Any] = json.loads(told.stdout)
    return document


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
