"""The threads that make executions go on: one decides, some perform steps, one sends events.

What belongs here: when something happens and who does it. What does not: the rules of running (``rules``) and what a
step of one type does (``steps``).
"""
