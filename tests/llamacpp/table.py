"""The report of compare.py as Markdown."""

from statistics import median


def markdown(report):
    """Medians of every side; in brackets how many times faster (or smaller) mcv is."""
    ours, others = report["sides"][0], report["sides"][1:]
    lines = [
        f"{report['cpu']}, {report['threads']} threads, medians of {report['rounds']} rounds taken in turns; "
        f"processes at work {report['load_before']:.1f} before, {report['load_after']:.1f} after. "
        "In brackets the median ratio of the rounds: how many times better mcv is.",
        "",
        "| | " + " | ".join(report["sides"]) + " |",
        "|---" * (len(others) + 2) + "|",
    ]
    lines += [rate(figure, ours, others) for figure in report["figures"]]
    for start in report["whole"]:
        for key, unit, scale in (("seconds", "s", 1.0), ("rss_bytes", "MiB peak", 2.0**20)):
            runs = {name: [run[key] / scale for run in runs] for name, runs in start["runs"].items()}
            digits = 2 if unit == "s" else 0
            lines.append(row(f"{start['name']}, {unit}", ours, others, runs, lambda v, d=digits: f"{v:.{d}f}"))
    sizes = {name: [size / 2.0**20] for name, size in report["bytes"].items()}
    lines.append(row("files, MiB", ours, others, sizes, lambda v: f"{v:.0f}"))
    return "\n".join(lines + notes(report))


def rate(figure, ours, others):
    """A row of a speed: tokens or slices per second."""
    rates = {}
    for name, seconds in figure["seconds"].items():
        rates[name] = [figure["counts"][name] / s for s in seconds]
    cells = [cell(rates, ours, name, lambda v: f"{v:.2f}", lambda a, b: a / b) for name in [ours, *others]]
    return f"| {figure['name']}, {figure['unit']}/s | " + " | ".join(cells) + " |"


def row(title, ours, others, values, show):
    """A row of something that should be small."""
    cells = [cell(values, ours, name, show, lambda a, b: b / a) for name in [ours, *others]]
    return f"| {title} | " + " | ".join(cells) + " |"


def cell(values, ours, name, show, ratio):
    """A side's median, and its ratio to ours."""
    if not values.get(name):
        return "-"
    middle = show(median(values[name]))
    if name == ours or not values.get(ours):
        return middle
    return f"{middle} ({median(ratio(a, b) for a, b in zip(values[ours], values[name])):.2f}x)"


def notes(report):
    """What doesn't fit the table."""
    lines = []
    if report.get("limits"):
        limits = report["limits"]
        shares = ", ".join(f"{name}: {100 * share:.0f} %" for name, share in limits["shares"].items())
        machine = f"{limits['bandwidth'] / 1e9:.1f} GB/s, level {limits['level']}"
        lines += ["", f"mcv's share of the read bandwidth measured in the same process ({machine}): {shares}"]
    if report.get("contention"):
        kept = ", ".join(f"{name} {100 * share:.0f} %" for name, share in report["contention"]["kept"].items())
        lines += ["", f"Decode beside a busy process of lowest priority keeps, of its fair share: {kept}"]
    return lines
