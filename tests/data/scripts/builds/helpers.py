"""What the scripts of builds share."""


def factor():
    return 3
