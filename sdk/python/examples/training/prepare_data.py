"""Write a day's file: a sample of the breast cancer data that scikit-learn carries. Nothing is downloaded.

python prepare_data.py 2026-11-02 data/        writes data/2026-11-02.csv

The same day gives the same rows. The file appears as a whole, so who waits for it never reads half of it.
"""

from __future__ import annotations

import csv
import sys
import zlib
from pathlib import Path

ROWS = 400


def write_day(day: str, folder: Path) -> Path:
    """The path of the file, which has one row per patient: 30 measures and `benign`, 1 or 0."""
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    chosen = np.random.default_rng(zlib.crc32(day.encode())).choice(len(data.target), ROWS, replace=False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{day}.csv"
    aside = path.with_suffix(".part")
    with aside.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*data.feature_names, "benign"])
        writer.writerows([*data.data[row].tolist(), int(data.target[row])] for row in chosen)
    return aside.replace(path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python prepare_data.py DAY FOLDER")
    print(write_day(sys.argv[1], Path(sys.argv[2])))
