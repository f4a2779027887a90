"""HTTP as AWS clients speak it: requests, answers, errors, the rules on hosts, the socket. No AWS service is here."""
