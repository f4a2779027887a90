"""Functions that become steps."""


class Greeting:
    def __init__(self, word):
        self.word = word


def add_one(value):
    return value + 1


def double(value):
    return 2 * value


def greet(name):
    return Greeting("hello").word + " " + name
