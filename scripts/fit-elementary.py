"""Fits the polynomials of engine/kernels/wasm/assembly/elementary.ts.

    expm1(r) = r + r^2 q(r)    on |r| <= ln(2)/2 (a little wider: the rounding of k is not exact)

q is the minimax polynomial of the relative error of expm1, found by Remez' exchange algorithm in 60 digits, its
coefficients rounded to the target type. Printed with them: the relative error that they leave, in units of the
type's machine epsilon 2^-24 or 2^-53. Run: python3 scripts/fit-elementary.py (needs mpmath).
"""
import struct
from mpmath import mp, mpf, matrix, lu_solve, cos, pi, log, expm1, polyval, factorial, fabs

mp.dps = 60
BOUND = log(2) / 2 * mpf("1.0001")
GRID = [BOUND * (-cos(pi * i / 2000)) for i in range(2001)]


def target(r):  # (expm1(r) - r) / r^2; its Taylor series near 0, where the difference cancels
    return (expm1(r) - r) / r**2 if fabs(r) > mpf(10) ** -8 else sum(r**i / factorial(i + 2) for i in range(6))


def weight(r):  # turns an error of q into a relative error of expm1
    return r**2 / fabs(expm1(r)) if r != 0 else mpf(0)


VALUES = [(r, target(r), weight(r)) for r in GRID]


def remez(degree):
    nodes = [-cos(pi * (i + mpf(2) / 5) / (degree + 2)) * BOUND for i in range(degree + 2)]
    for _ in range(12):
        system = matrix(degree + 2, degree + 2)
        rhs = matrix(degree + 2, 1)
        for row, r in enumerate(nodes):
            for i in range(degree + 1):
                system[row, i] = r**i
            system[row, degree + 1] = (-1) ** row / (weight(r) or mpf("1e-30"))
            rhs[row] = target(r)
        solution = lu_solve(system, rhs)
        q = [solution[i] for i in range(degree + 1)]
        nodes = extrema(q, degree + 2)
    return q


def extrema(q, count):
    """The largest error between two sign changes each; of more than `count`, the largest neighbours."""
    best = []
    for r, f, w in VALUES:
        error = w * (f - polyval(q[::-1], r))
        if best and (error > 0) == (best[-1][0] > 0):
            if fabs(error) > fabs(best[-1][0]):
                best[-1] = (error, r)
        elif error != 0:
            best.append((error, r))
    while len(best) > count:
        best.pop(0 if fabs(best[0][0]) < fabs(best[-1][0]) else -1)
    return [r for _, r in best]


def single(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


for name, rounded, epsilon, degree in [("f32", single, mpf(2) ** -24, 4), ("f64", float, mpf(2) ** -53, 9)]:
    q = [rounded(c) for c in remez(degree)]
    error = max(fabs(w * (f - polyval(q[::-1], r))) for r, f, w in VALUES) / epsilon
    print(f"{name}, degree {degree}, relative error {float(error):.3f} epsilon")
    for c in q:
        print(f"  {c!r}")
