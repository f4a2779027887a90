"""What the process that callers are forked from imports: everything that they need."""

from tests.reliability.write_work import warm_up

warm_up()
