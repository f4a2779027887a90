sm-pipelines init train > /dev/null
