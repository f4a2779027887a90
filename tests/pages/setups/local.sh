cp -r "$REPOSITORY/dags" .
cp "$READER/nightly.py" dags/
cp -r "$READER/samples" .
mkdir pipelines
cp -r dags/pipelines/diabetes/steps pipelines/
cp dags/pipelines/diabetes/pipeline_v2.py pipelines/train.py
cp "$READER/local/price.json" .
mkdir src
echo 'raise SystemExit(5)' > src/fit.py
echo 'print(int("3.5"))' > step.py
cat > images.toml <<'END'
[[image]]
match = "my-team/fit"
workdir = "/opt/program"
files = { "/opt/program" = "src" }
entrypoint = ["python3", "fit.py"]
END
python -c "import sys; print(f'interpreter = \"{sys.executable}\"')" >> images.toml
export SM_PIPELINES_IMAGES=$PWD/images.toml
use_airflow
