"""Fits the polynomials of exp.ts and tanh.ts in engine/kernels/wasm/assembly.

    expm1(r) = r + r^2 q(r)       on |r| <= ln(2)/2
    tanh(v) = v + v^3 g(v^2)      on |v| <= ln(2)/4    (both a little wider: the rounding of k is not exact)

q and g are the minimax polynomials of the relative errors of expm1 and tanh, found by Remez' exchange algorithm in 60
digits, their coefficients rounded to the target type. Printed with them: the relative error that they leave, in units of
the type's machine epsilon 2^-24 or 2^-53. Run: python3 scripts/fit-elementary.py (needs mpmath).
"""
import struct
from mpmath import mp, mpf, matrix, lu_solve, cos, pi, log, expm1, tanh, sqrt, polyval, factorial, fabs

mp.dps = 60
WIDER = mpf("1.0001")


class Expm1:
    """The polynomial's variable is r."""
    name, low, high = "expm1", -log(2) / 2 * WIDER, log(2) / 2 * WIDER

    @staticmethod
    def target(r):  # (expm1(r) - r) / r^2; its Taylor series near 0, where the difference cancels
        if fabs(r) > mpf(10) ** -8:
            return (expm1(r) - r) / r**2
        return sum(r**i / factorial(i + 2) for i in range(6))

    @staticmethod
    def weight(r):  # turns an error of the polynomial into a relative error of the function
        return r**2 / fabs(expm1(r)) if r != 0 else mpf(0)


class Tanh:
    """The polynomial's variable is z = v^2."""
    name, low, high = "tanh", mpf(0), (log(2) / 4 * WIDER) ** 2

    @staticmethod
    def target(z):
        if z < mpf(10) ** -16:
            return mpf(-1) / 3 + 2 * z / 15
        return (tanh(sqrt(z)) / sqrt(z) - 1) / z

    @staticmethod
    def weight(z):
        return z * sqrt(z) / tanh(sqrt(z)) if z != 0 else mpf(0)


def chebyshev(function, count, shift):
    middle, half = (function.low + function.high) / 2, (function.high - function.low) / 2
    return [middle - half * cos(pi * (i + shift) / count) for i in range(count + 1)]


def remez(function, values, degree):
    nodes = chebyshev(function, degree + 2, mpf(2) / 5)[: degree + 2]
    for _ in range(12):
        system = matrix(degree + 2, degree + 2)
        rhs = matrix(degree + 2, 1)
        for row, x in enumerate(nodes):
            for i in range(degree + 1):
                system[row, i] = x**i
            system[row, degree + 1] = (-1) ** row / (function.weight(x) or mpf("1e-30"))
            rhs[row] = function.target(x)
        solution = lu_solve(system, rhs)
        polynomial = [solution[i] for i in range(degree + 1)]
        nodes = extrema(values, polynomial, degree + 2)
    return polynomial


def extrema(values, polynomial, count):
    """The largest error between two sign changes each; of more than `count`, the largest neighbours."""
    best = []
    for x, f, w in values:
        error = w * (f - polyval(polynomial[::-1], x))
        if best and (error > 0) == (best[-1][0] > 0):
            if fabs(error) > fabs(best[-1][0]):
                best[-1] = (error, x)
        elif error != 0:
            best.append((error, x))
    while len(best) > count:
        best.pop(0 if fabs(best[0][0]) < fabs(best[-1][0]) else -1)
    return [x for _, x in best]


def single(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def fit(function, degree, name, rounded, epsilon):
    values = [(x, function.target(x), function.weight(x)) for x in chebyshev(function, 2000, 0)]
    polynomial = [rounded(c) for c in remez(function, values, degree)]
    error = max(fabs(w * (f - polyval(polynomial[::-1], x))) for x, f, w in values) / epsilon
    print(f"{function.name}, {name}, degree {degree}, relative error {float(error):.3f} epsilon")
    for c in polynomial:
        print(f"  {c!r}")


for function, degree32, degree64 in [(Expm1, 4, 9), (Tanh, 2, 5)]:
    fit(function, degree32, "f32", single, mpf(2) ** -24)
    fit(function, degree64, "f64", float, mpf(2) ** -53)
