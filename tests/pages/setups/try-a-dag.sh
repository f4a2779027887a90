mkdir dags
cp "$READER/nightly.py" dags/
cp -r "$READER/samples" "$READER/own" "$READER/own.json" "$READER/handler.py" "$READER/step.py" .
cat > images.toml <<'END'
[[image]]
match = "team/score"
dockerfile = "own/Dockerfile"
END
deployed price "$READER/price.json"
command sm-pipelines local exec --quiet --upload s3://raw-data/code/step.py=step.py -- true
use_airflow
