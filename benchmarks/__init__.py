"""Speed and memory as ratios, in one run on one machine, against what a user would pick instead: ``make bench``."""
