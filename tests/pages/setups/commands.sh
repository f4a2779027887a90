command sm-pipelines init train > /dev/null
sed -i 's/"train"/"train-model"/' dags/pipelines/train.py
cp -r "$REPOSITORY/dags/pipelines/local_mode/"* .
mv pipeline_v2.py script.py
cp "$REPOSITORY/tests/data/migrate/jobs/1-preprocess.json" preprocess.json
cp "$REPOSITORY/tests/data/migrate/jobs/2-train.json" train-job.json
cp "$REPOSITORY/tests/data/migrate/stepfunctions/release.asl.json" machine.asl.json
