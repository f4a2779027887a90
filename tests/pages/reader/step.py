from pathlib import Path

print(1 / len(list(Path("/opt/ml/processing/in").glob("*.csv"))))
