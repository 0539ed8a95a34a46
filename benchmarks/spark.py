"""Against Spark's MultilayerPerceptronClassifier: 784-100-10, L-BFGS, 50 iterations, MNIST, two cores.

`pip install pyspark`, Java 17; `python benchmarks/spark.py`. Both fit three times in turn, in one run; medians of
the seconds that `fit` takes, data in memory (Spark's cached). Errors are those on the test images. Writes
benchmarks/results/spark.json.
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from thetanet import LBFGS, CPUEngine, ThetaNetClassifier, load_mnist

RESULTS = Path(__file__).parent / "results" / "spark.json"
ITERATIONS, REPEATS = 50, 3


def ours(seed, X, y, X_test, y_test):
    net = ThetaNetClassifier(
        hidden=100,
        descent=LBFGS(memory=40),
        epochs=ITERATIONS,
        random_state=seed,
        engine=CPUEngine(threads=2),
    )
    began = time.perf_counter()
    net.fit(X, y)
    return time.perf_counter() - began, 1 - net.score(X_test, y_test)


def spark_frames(session, X, y, X_test, y_test, folder):
    """Write the images as Spark likes to read them, and keep them in its memory."""
    import pyarrow as pa
    import pyarrow.parquet
    from pyspark.ml.functions import array_to_vector

    frames = []
    for name, images, labels in (("train", X, y), ("test", X_test, y_test)):
        pixels = pa.FixedSizeListArray.from_arrays(pa.array((images / 255.0).ravel()), 784)
        table = pa.table({"pixels": pixels.cast(pa.list_(pa.float64())), "label": labels.astype(np.float64)})
        pyarrow.parquet.write_table(table, f"{folder}/{name}.parquet", row_group_size=10_000)
        frame = session.read.parquet(f"{folder}/{name}.parquet").repartition(2)
        frame = frame.select(array_to_vector("pixels").alias("features"), "label").cache()
        frame.count()
        frames.append(frame)
    return frames


def main():
    from pyspark.ml.classification import MultilayerPerceptronClassifier
    from pyspark.sql import SparkSession

    data = load_mnist()
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "6g")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    seconds, errors = {"thetanet": [], "spark": []}, {"thetanet": [], "spark": []}
    with tempfile.TemporaryDirectory() as folder:
        train, test = spark_frames(session, *data, folder)
        ours(0, *data)  # compiled once on a machine
        for seed in range(REPEATS):
            took, wrong = ours(seed, *data)
            seconds["thetanet"].append(took)
            errors["thetanet"].append(wrong)
            classifier = MultilayerPerceptronClassifier(
                layers=[784, 100, 10], maxIter=ITERATIONS, solver="l-bfgs", seed=seed, tol=0.0
            )
            began = time.perf_counter()
            model = classifier.fit(train)
            seconds["spark"].append(time.perf_counter() - began)
            answers = model.transform(test).select("prediction", "label").toPandas()
            errors["spark"].append(float((answers.prediction != answers.label).mean()))
            print(seed, {n: f"{s[-1]:.1f} s, {errors[n][-1]:.2%}" for n, s in seconds.items()}, flush=True)
    session.stop()
    found = {
        "cores": os.cpu_count(),
        "seconds": {name: statistics.median(took) for name, took in seconds.items()},
        "errors": {name: statistics.median(wrong) for name, wrong in errors.items()},
    }
    found["spark / thetanet"] = found["seconds"]["spark"] / found["seconds"]["thetanet"]
    print(f"Spark takes {found['spark / thetanet']:.1f} times as long")
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
