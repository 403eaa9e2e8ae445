"""Vectors and colours of many rays."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

Number = jax.Array | float


class Vector(NamedTuple):
    """Three arrays [R], one a component, or three numbers that all rays share; also RGB.

    Arithmetic is by component, and the other side may be a Vector, an array or a number. Components
    are apart, and numbers are not arrays of length one, because from stacks [3, R] and broadcast
    [3, 1] XLA:CPU makes scalar loops, up to eight times slower than those that fill vector units.
    """

    x: Number
    y: Number
    z: Number

    def __add__(self, other: Vector | Number) -> Vector:
        return Vector(*(a + b for a, b in zip(self, _spread(other), strict=True)))

    def __sub__(self, other: Vector | Number) -> Vector:
        return Vector(*(a - b for a, b in zip(self, _spread(other), strict=True)))

    def __mul__(self, other: Vector | Number) -> Vector:
        return Vector(*(a * b for a, b in zip(self, _spread(other), strict=True)))

    def where(self, condition: jax.Array, other: Vector) -> Vector:
        """This where the condition [R] holds, else the other."""
        return Vector(*(jnp.where(condition, a, b) for a, b in zip(self, other, strict=True)))


def numbers(array: jax.Array) -> Vector:
    """[3] to a Vector of numbers that all rays share."""
    return Vector(array[0], array[1], array[2])


def dot(a: Vector, b: Vector) -> Number:
    """Scalar product."""
    return a.x * b.x + a.y * b.y + a.z * b.z


def cross(a: Vector, b: Vector) -> Vector:
    """Vector product."""
    return Vector(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)


def unit(vector: Vector) -> Vector:
    """Vector of length one in the same direction; of nearly no length, any."""
    return vector * jax.lax.rsqrt(jnp.maximum(dot(vector, vector), 1e-20))


def power(base: Number, exponent: Number) -> Number:
    """base ** exponent for base >= 0; XLA:CPU's own is a scalar function, this is vectorised."""
    return jnp.exp(exponent * jnp.log(jnp.maximum(base, 1e-20)))


def _spread(other: Vector | Number) -> tuple[Number, Number, Number]:
    return other if isinstance(other, Vector) else (other,) * 3
