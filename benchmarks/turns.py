"""In which order the servers of a round are started and measured."""


def in_turn(cases, number):
    """The order of the cases in round `number`: each case comes before each other in half of them, and all begin in turn."""
    begin = number // 2 % len(cases)
    order = cases[begin:] + cases[:begin]
    return order[::-1] if number % 2 else order
