"""From measurements to a Markdown table, pictures, and the README's "How fast"."""

import re
import statistics

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BEGIN, END = "<!-- made by make bench -->", "<!-- end -->"


def rows(found):
    """Return (figure, value, must, aim) for each line of the table; values are ratios, larger is better."""
    wide, narrow = found["steps_table"]["800"], found["steps_table"]["100"]

    def ratio(table, name, ours="thetanet"):
        return table[name] / table[ours]

    times, text, one = found["time_to_accuracy"], found["sparse_text"], found["one_sample"]
    process = found["processes"]
    memory = process["memory"]
    algoperf = list(zip(*found["algoperf"], strict=True))
    ours = times["thetanet"][0]
    return [
        ("800 units, batch 256: throughput / dense products alone", ratio(wide, "floor"), "1.5", "2.0"),
        ("100 units, batch 128: throughput / dense products alone", ratio(narrow, "floor"), "0.85", "1.3"),
        ("the same on data without zeros, 800 units", ratio(wide, "floor", "thetanet, dense data"), "0.85", "0.95"),
        ("the same on data without zeros, 100 units", ratio(narrow, "floor", "thetanet, dense data"), "0.65", "0.8"),
        ("against JAX (jit, scan), 800 units", ratio(wide, "jax_scan"), "1.9", "2.6"),
        ("against JAX (jit, scan), 100 units", ratio(narrow, "jax_scan"), "1.6", "2.4"),
        ("against PyTorch (eager, fused Adam), 800 units", ratio(wide, "pytorch"), "3", "4"),
        ("against PyTorch (eager, fused Adam), 100 units", ratio(narrow, "pytorch"), "4", "6"),
        ("against scikit-learn, 800 units", ratio(wide, "scikit_learn"), "4", "5.5"),
        ("against scikit-learn, 100 units", ratio(narrow, "scikit_learn"), "5", "8"),
        ("time to 98.0% on MNIST, 300 units, against scikit-learn tuned",
         times["scikit-learn, tuned (rate 0.003, batch 64)"][0] / ours, "10", "20"),
        ("time to 98.0% on MNIST, 300 units, against scikit-learn's defaults",
         times["scikit-learn, defaults"][0] / ours, "15", "30"),
        ("sparse text (100,000 x 50,000), epoch of Adam, against scikit-learn", text["Adam"][1] / text["Adam"][0], "5", "20"),
        ("sparse text (100,000 x 50,000), epoch of SGD, against scikit-learn", text["SGD"][1] / text["SGD"][0], "5", "20"),
        ("beside two busy processes, 800 units: throughput / quiet", found["busy"]["800"], "0.4", "0.5"),
        ("beside two busy processes, 100 units: throughput / quiet", found["busy"]["100"], "0.4", "0.5"),
        ("one sample, 784-100-10: Predictor against predict_proba of scikit-learn",
         one["scikit-learn"] / one["Predictor"], "10", "20"),
        ("one sample, 784-100-10: our predict_proba against scikit-learn's", one["scikit-learn"] / one["estimator"], "2", "4"),
        ("peak memory of `thetanet train` at 800 units / scikit-learn's process (smaller is better)", memory[0] / memory[1], "0.5", "0.35"),
        ("peak memory of our estimator's process / scikit-learn's (smaller is better)", process["estimator_memory"] / memory[1], "", ""),
        ("second process, `thetanet train`: seconds from start to end, with one step (smaller is better)", process["start"], "1.5", "0.8"),
        ("second process, the estimator: the same (smaller is better)", process["estimator_start"], "", ""),
        ("Ctrl-C to a usable network, 800 units: seconds, the longest of 7 (smaller is better)", max(found["interrupt"]), "0.5", ""),
        ("AlgoPerf's mnist shape, 784-128-10, our defaults: accuracy on validation and test, the lower one, lowest of 7 seeds",
         min(min(algoperf[1]), min(algoperf[2])), "0.97", ""),
        ("the same: seconds (smaller is better)", statistics.median(algoperf[0]), "", ""),
    ]  # fmt: skip


def _shown(value):
    return f"{value:.3g}" if value < 1 else f"{value:.2f}"


def table(found):
    machine = dict(found["machine"])
    about = f"{machine.pop('processor')}, {machine.pop('cores')} cores, {machine.pop('date')}; "
    about += ", ".join(f"{name} {version}" for name, version in machine.items())
    lines = ["| figure | measured |", "|---|---|"]
    lines += [f"| {name} | {_shown(value)} |" for name, value, _, _ in rows(found)]
    return "\n".join(
        [about + ". Medians of interleaved runs; MNIST and Adam where not said otherwise.", "", *lines]
    )


def write(found, folder, readme):
    wide = ["| figure | measured | must | aim |", "|---|---|---|---|"]
    wide += [f"| {name} | {_shown(value)} | {must} | {aim} |" for name, value, must, aim in rows(found)]
    steps = ["| microseconds a step | 800 units, B=256 | 100 units, B=128 |", "|---|---|---|"]
    for name in found["steps_table"]["800"]:
        steps.append(
            f"| {name} | {found['steps_table']['800'][name]:.0f} | {found['steps_table']['100'][name]:.0f} |"
        )
    (folder / "results.md").write_text(
        "# Results of `make bench`\n\n" + table(found).split("\n")[0] + "\n\n" + "\n".join(wide)
        + "\n\n" + "\n".join(steps) + "\n\n![steps](steps.png)\n\n![growth](growth.png)\n"
    )  # fmt: skip
    draw_steps(found, folder / "steps.png")
    draw_growth(found["sweeps"], folder / "growth.png")
    text = readme.read_text()
    block = f"{BEGIN}\n{table(found)}\n\n![microseconds a step](benchmarks/results/steps.png)\n{END}"
    readme.write_text(
        re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: block, text, flags=re.DOTALL)
    )
    print("\n".join(wide))


NAMES = {
    "thetanet": "thetanet", "thetanet, dense data": "thetanet, data without zeros",
    "floor": "dense products alone (NumPy)", "jax_scan": "JAX, jit and scan", "pytorch": "PyTorch, fused Adam",
    "scikit_learn": "scikit-learn",
}  # fmt: skip


def draw_steps(found, path):
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    for ax, (units, batch_size) in zip(axes, ((800, 256), (100, 128)), strict=True):
        values = [found["steps_table"][str(units)][name] / 1000 for name in NAMES]
        colors = ["#1b5e9b", "#7aa6cf", "#b0b0b0", "#d9d9d9", "#d9d9d9", "#d9d9d9"]
        bars = ax.barh(list(NAMES.values()), values, color=colors)
        ax.bar_label(bars, fmt="%.2f", padding=3, fontsize=9)
        ax.invert_yaxis()
        ax.set_xlabel(f"milliseconds a step, {units} units, batch {batch_size}")
        ax.margins(x=0.12)
        ax.spines[["top", "right"]].set_visible(False)
    axes[1].set_yticklabels([])
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_growth(sweeps, path):
    figure, axes = plt.subplots(1, 5, figsize=(16, 3.4), layout="constrained")
    labels = {"share of non-zeros": ("zeros skipped", "dense products")}
    for ax, (name, values) in zip(axes, sweeps.items(), strict=True):
        x = [v[0] for v in values]
        series = labels.get(name, ("1 thread", "2 threads") if len(values[0]) == 3 else ("",))
        for i, label in enumerate(series):
            ax.plot(x, [v[1 + i] for v in values], marker="o", markersize=4, label=label or None)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(name)
        ax.set_ylabel("microseconds a sample")
        ax.grid(alpha=0.3)
        if len(series) > 1:
            ax.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)
