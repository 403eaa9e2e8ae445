"""Vectors and colours of many rays at once."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ocgm.images import Array

Number = jax.Array | float


class Vector(NamedTuple):
    """Three components, or RGB: arrays [R], one value a ray, or numbers that all rays share.

    Arithmetic is by component; the other operand may be a Vector, an array or a number. Components
    are separate arrays, and shared numbers are scalars, because XLA:CPU compiles stacks [3, R] and
    broadcasts of [3, 1] to scalar loops, up to eight times slower than vectorised ones.
    """

    x: Number
    y: Number
    z: Number

    # Arithmetic instead of the concatenation and repetition of tuples.
    def __add__(self, other: Vector | Number) -> Vector:  # type: ignore[override]
        return Vector(*(a + b for a, b in zip(self, _spread(other), strict=True)))

    def __sub__(self, other: Vector | Number) -> Vector:
        return Vector(*(a - b for a, b in zip(self, _spread(other), strict=True)))

    def __mul__(self, other: Vector | Number) -> Vector:  # type: ignore[override]
        return Vector(*(a * b for a, b in zip(self, _spread(other), strict=True)))

    def where(self, condition: ArrayLike, other: Vector) -> Vector:
        """Return this vector where the condition [R] holds, else the other."""
        return Vector(*(jnp.where(condition, a, b) for a, b in zip(self, other, strict=True)))


def numbers(array: Array) -> Vector:
    """Return an array [3] as a Vector of numbers that all rays share."""
    return Vector(array[0], array[1], array[2])


def dot(a: Vector, b: Vector) -> Number:
    """Return the scalar product."""
    return a.x * b.x + a.y * b.y + a.z * b.z


def cross(a: Vector, b: Vector) -> Vector:
    """Return the vector product."""
    return Vector(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)


def unit(vector: Vector) -> Vector:
    """Return the unit vector in the same direction, arbitrary if the length is near zero."""
    return vector * jax.lax.rsqrt(jnp.maximum(dot(vector, vector), 1e-20))


def power(base: Number, exponent: ArrayLike) -> jax.Array:
    """Return base ** exponent for base >= 0, vectorised, which XLA:CPU's own power is not."""
    return jnp.exp(exponent * jnp.log(jnp.maximum(base, 1e-20)))


def _spread(other: Vector | Number) -> tuple[Number, Number, Number]:
    return other if isinstance(other, Vector) else (other,) * 3
