"""The queue that no server can beat: requests in the order of their arrival, served by as many servers as there are cores, each request
taking one of the given times and nothing else."""

import heapq
import random

REPETITIONS = 5  # draws of service times for the same arrivals


def latencies(arrivals, service_times, servers, seed=1):
    """Of all arrivals, in the unit of both arguments; service times are drawn from those measured."""
    draw = random.Random(seed).choice
    result = []
    for _ in range(REPETITIONS):
        free_at = [0.0] * servers
        for arrival in arrivals:
            end = max(arrival, free_at[0]) + draw(service_times)
            heapq.heapreplace(free_at, end)
            result.append(end - arrival)
    return result
