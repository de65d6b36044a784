"""What somebody at the command line can put right."""


class Mistake(Exception):
    """The text says what is wrong and how to mend it; it is printed as one line, exit code 2."""
