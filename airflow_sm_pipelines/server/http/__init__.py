"""HTTP as AWS clients speak it: requests, answers, errors, the socket. No service is here."""
