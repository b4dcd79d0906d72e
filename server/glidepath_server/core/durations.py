"""How long something takes, learnt from how long it took: summaries that can be merged, and what they let one expect.

Durations of tasks are skewed to the right and differ by factors, so their logarithms are counted: a log-normal model.
A summary is a count, a mean and a sum of squares; two are merged exactly (Chan, Golub, LeVeque 1979), an old one is
faded to the weight of fewer observations (the power prior of Ibrahim and Chen 2000). What to expect of the next one is
Student's t with the weight of what is known behind it (the normal-inverse-gamma model, DeGroot 1970): after three runs
the tails are wide, after thirty they are nearly the task's own.

Draws are stratified (Latin hypercube sampling; McKay, Beckman, Conover 1979): each of N equal parts of the distribution
is drawn from once, in an order that is a hash of the stream's number. So there is no chance here: the same knowledge
gives the same draws, and a forecast moves only when what is known has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

# Shorter is not told apart: less than what a clock or a queue adds by itself.
SECONDS_MIN = 0.001
# What a summary remembers: older observations fade, so a task that has changed is followed.
COUNT_MAX = 100.0
# The weight that other versions of the DAG have at most, in observations: with the same code, with other code.
SAME_CODE_COUNT_MAX = 10.0
OTHER_CODE_COUNT_MAX = 3.0
# Nothing known: a minute, give or take a factor of three.
UNKNOWN_LOG_SECONDS = math.log(60.0)
_UNKNOWN_VARIANCE = 1.0
# A task about which little is known is taken to differ from run to run by about this (sigma 0.5), weighing as two runs.
_USUAL_VARIANCE = 0.25
_SHAPE = 1.0
_FREEDOM_MAX = 200
_STREAMS = 1024
_TAIL_MIN = 1e-300
# Beyond the last place of the tail that can be told apart, what goes on goes on a little longer still.
_HANGING = 1.01
# Nothing is expected to take more than some centuries.
_LOG_MAX = 23.0
_NORMAL = NormalDist()
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Summary:
    """Of log seconds: how many (faded ones count less), their mean, the sum of their squared distances from it."""

    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    @staticmethod
    def of(seconds: Iterable[float]) -> Summary:
        logs = [math.log(max(each, SECONDS_MIN)) for each in seconds]
        if not logs:
            return Summary()
        mean = math.fsum(logs) / len(logs)
        return Summary(float(len(logs)), mean, math.fsum((each - mean) ** 2 for each in logs))

    def merged(self, other: Summary) -> Summary:
        """As if all had been counted together."""
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        mean = self.mean + apart * other.count / count
        return Summary(count, mean, self.squares + other.squares + apart * apart * self.count * other.count / count)

    def faded(self, count_max: float) -> Summary:
        """The same with the weight of at most so many observations."""
        if self.count <= count_max:
            return self
        return Summary(count_max, self.mean, self.squares * count_max / self.count)


@dataclass(frozen=True, slots=True)
class Belief:
    """What the next duration may be: its logarithm is location + scale x Student's t with `freedom` degrees.

    `count` is how much was seen of it, in observations; 0: it is a guess.
    """

    location: float
    scale: float
    freedom: int
    count: float = 0.0

    @property
    def median(self) -> float:
        """Seconds."""
        return math.exp(self.location)

    def draws(self, stream: int, number: int) -> list[float]:
        """`number` draws in seconds."""
        location, scale, exp = self.location, self.scale, math.exp
        return [exp(location + scale * t) for t in _shuffled(self.freedom, stream % _STREAMS, number)]

    def longest(self, stream: int, number: int, *, of: int = 1, over: float = 0.0) -> list[float]:
        """Draws of the longest `of` so many, each of which has lasted `over` seconds already and goes on."""
        left = self.longer_than(over)
        power, parts = 1.0 / of, _parts(number)
        found = []
        for place in _order(stream % _STREAMS, number):
            tail = left * (1.0 - parts[place] ** power)
            logarithm = self.location + self.scale * _student(-_below(tail), self.freedom)
            found.append(max(math.exp(min(logarithm, _LOG_MAX)), over * _HANGING))
        return found

    def longer_than(self, seconds: float) -> float:
        """The probability that it lasts longer."""
        if seconds <= SECONDS_MIN:
            return 1.0
        z = _normal((math.log(seconds) - self.location) / self.scale, self.freedom)
        return max(0.5 * math.erfc(z / math.sqrt(2.0)), _TAIL_MIN)


def believe(own: Summary, same_code: Summary, other_code: Summary, unknown: float = UNKNOWN_LOG_SECONDS) -> Belief:
    """What to expect of a task: `own` is of this version of its DAG, the others are of earlier ones, with the same code
    of the task and with another. `unknown` is the mean of the log seconds to expect when there is nothing at all."""
    known = own.merged(same_code.faded(SAME_CODE_COUNT_MAX)).merged(other_code.faded(OTHER_CODE_COUNT_MAX))
    if not known.count:
        return Belief(unknown, math.sqrt(_UNKNOWN_VARIANCE), 3)
    shape = _SHAPE + known.count / 2
    rate = _SHAPE * _USUAL_VARIANCE + known.squares / 2
    variance = rate * (known.count + 1) / (shape * known.count)
    return Belief(known.mean, math.sqrt(variance), min(max(round(2 * shape), 3), _FREEDOM_MAX), known.count)


# ---- draws
@lru_cache(maxsize=8)
def _parts(number: int) -> tuple[float, ...]:
    """The middles of equal parts of the span from 0 to 1."""
    return tuple((place + 0.5) / number for place in range(number))


@lru_cache(maxsize=4096)
def _order(stream: int, number: int) -> tuple[int, ...]:
    return tuple(sorted(range(number), key=lambda place: _hash(stream * 1_000_003 + place)))


@lru_cache(maxsize=256)
def _quantiles(freedom: int, number: int) -> tuple[float, ...]:
    return tuple(_student(_NORMAL.inv_cdf(part), freedom) for part in _parts(number))


@lru_cache(maxsize=8192)
def _shuffled(freedom: int, stream: int, number: int) -> tuple[float, ...]:
    quantiles = _quantiles(freedom, number)
    return tuple(quantiles[place] for place in _order(stream, number))


def _hash(value: int) -> int:
    """The finalizer of splitmix64 (Steele, Lea, Flood 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _below(probability: float) -> float:
    """The standard normal's quantile."""
    return _NORMAL.inv_cdf(min(max(probability, _TAIL_MIN), 1 - 1e-16))


def _stretch(freedom: int) -> float:
    return (8 * freedom + 3) / (8 * freedom + 1)


def _student(z: float, freedom: int) -> float:
    """Student's t at the place where the standard normal has z: the approximation of Wallace (1959), turned round."""
    if freedom >= _FREEDOM_MAX:
        return z
    power = min((z * _stretch(freedom)) ** 2 / freedom, 600.0)
    return math.copysign(math.sqrt(freedom * math.expm1(power)), z)


def _normal(t: float, freedom: int) -> float:
    """The other way round."""
    if freedom >= _FREEDOM_MAX:
        return t
    return math.copysign(math.sqrt(freedom * math.log1p(t * t / freedom)) / _stretch(freedom), t)
