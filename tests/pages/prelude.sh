# Sourced before the blocks of a page. What the pages take from outside stands here, each played by something small.
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
mkdir -p "$HOME"
ROLE_ARN=arn:aws:iam::123456789012:role/SageMakerExecution
READER="$REPOSITORY/tests/pages/reader"

pip() { echo "pip $*: what it installs is there"; }
terraform() { cat tfplan; }                            # 'show -json' of a plan
curl() { cat "$READER/rendered.json"; }                # Airflow's REST API
aws() {
    [ "$1" != sqs ] || set -- --endpoint-url "$AWS_ENDPOINT_URL" "$@"  # version 1 does not heed the variable there
    "$(dirname "$CLI_OF_AWS")/python" "$CLI_OF_AWS" "$@"
}

# A page that serves until Ctrl-C is stopped once it answers.
sm-pipelines() {
    case "$1 $2" in
        "dags serve" | "local open") echo "sm-pipelines $*: a server's pages, which nobody looks at here" ;;
        "local serve") exec "$(type -P sm-pipelines)" "$@" --port 0 ;;  # in the background, where 'kill' is to reach it
        *) command sm-pipelines "$@" ;;
    esac
}

# An Airflow that is set up, with the DAG files of ./dags.
use_airflow() {
    export AIRFLOW_HOME="$HOME/airflow" AIRFLOW__CORE__DAGS_FOLDER="$PWD/dags" AIRFLOW__CORE__LOAD_EXAMPLES=False
    airflow db migrate > /dev/null 2>&1
}

# A pipeline that somebody has deployed to the account, and an execution of it.
deployed() { command sm-pipelines deploy "$2" --pipeline-name "$1" --role-arn "$ROLE_ARN" > /dev/null; }
