"""What running processes have used, read from /proc."""
import os

TICKS = os.sysconf("SC_CLK_TCK")


def stat_fields(pid):
    """The fields of /proc/PID/stat after the name, or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def tree(root):
    """root and all that descends from it, parents first."""
    children = {}
    for name in os.listdir("/proc"):
        fields = stat_fields(name) if name.isdigit() else None
        if fields:
            children.setdefault(int(fields[1]), []).append(int(name))
    pids = [root]
    for pid in pids:
        pids += children.get(pid, [])
    return pids


def start_time(pid):
    """Tells a process from a later one with the same id."""
    fields = stat_fields(pid)
    return fields and fields[19]


def cpu_seconds(root):
    """User and system time of a process, its descendants and those of them
    that were waited for."""
    total = 0
    for pid in tree(root):
        fields = stat_fields(pid)
        if fields:
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def machine_cpu_seconds():
    """What everything on the machine has used since it started."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(
            int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def memory_mb(pid):
    """Resident, peak and anonymous memory of one process."""
    keys = {"VmRSS": "rss", "VmHWM": "peak", "RssAnon": "anonymous"}
    found = {}
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        for line in f:
            name, _, value = line.partition(":")
            if name in keys:
                found[keys[name]] = int(value.split()[0]) / 1024
    return found


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
        f.write("5")
