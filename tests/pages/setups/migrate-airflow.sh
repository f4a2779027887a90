mkdir -p old/lib dags
cp "$READER/old_train.py" old/train.py
cp "$READER/lib_configs.py" old/lib/configs.py
cp -r old/lib dags/
cp "$READER/start_only.py" dags/
use_airflow
TOKEN=t AIRFLOW=http://127.0.0.1:8080 RUN=manual
