"""Gated recurrent units with PyTorch's parameters: two biases, gates in the order r, z, n."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocgm.modules.initializers import Initializer, uniform_fan_in
from ocgm.modules.layers import add_bias


def _update(of_input: jax.Array, of_hidden: jax.Array, hidden: jax.Array) -> jax.Array:
    """Return the new state from the two affine maps [..., 3H] (r, z, n) of input and state."""
    r_x, z_x, n_x = jnp.split(of_input, 3, axis=-1)
    r_h, z_h, n_h = jnp.split(of_hidden, 3, axis=-1)
    reset, update = nn.sigmoid(r_x + r_h), nn.sigmoid(z_x + z_h)
    return (1.0 - update) * nn.tanh(n_x + reset * n_h) + update * hidden


class GRU(nn.Module):
    """GRU cell: (x [..., D], state [..., H]) -> state.

    Flax's cell has one bias for r and z; with two, parameter counts, initial values and Adam's steps are PyTorch's
    (and those of Keras' `reset_after`).

    Attributes:
      kernel_init, recurrent_init, bias_init: initialisers; None means PyTorch's, U(-1/sqrt(H), 1/sqrt(H)).
    """

    kernel_init: Initializer | None = None
    recurrent_init: Initializer | None = None
    bias_init: Initializer | None = None

    @nn.compact
    def __call__(self, x: jax.Array, hidden: jax.Array) -> jax.Array:
        size = hidden.shape[-1]
        default = uniform_fan_in(size)
        kernel_init, recurrent_init = self.kernel_init or default, self.recurrent_init or default
        bias_init = self.bias_init or default
        kernel_ih = self.param("kernel_ih", kernel_init, (x.shape[-1], 3 * size))
        kernel_hh = self.param("kernel_hh", recurrent_init, (size, 3 * size))
        bias_ih = self.param("bias_ih", bias_init, (3 * size,))
        bias_hh = self.param("bias_hh", bias_init, (3 * size,))
        of_input = add_bias(x @ kernel_ih, bias_ih)
        return _update(of_input, add_bias(hidden @ kernel_hh, bias_hh), hidden)


class DualGRU(nn.Module):
    """Two GRUs side by side, for the means and the scales of Gaussians (EfficientMORL section 3.1).

    Both have the same input; one's state is the mean, the other's the raw scale, and nothing passes between them. All
    weights *and biases* start as N(0, 1), as the authors' do.
    """

    @nn.compact
    def __call__(
        self, x: jax.Array, mean: jax.Array, raw_scale: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Return the new states, each [..., D], from input and states [..., D]."""
        size, init = mean.shape[-1], nn.initializers.normal(1.0)
        bias_ih = self.param("bias_ih", init, (4 * size,))
        bias_hh = self.param("bias_hh", init, (4 * size,))
        bias_in = self.param("bias_in", init, (2 * size,))
        bias_hn = self.param("bias_hn", init, (2 * size,))
        states = []
        for i, hidden in enumerate((mean, raw_scale)):
            gates, candidate = (
                slice(2 * i * size, 2 * (i + 1) * size),
                slice(i * size, (i + 1) * size),
            )
            kernels = {
                name: self.param(f"{name}_{i + 1}", init, (size, blocks * size))
                for name, blocks in (("ih", 2), ("hh", 2), ("in", 1), ("hn", 1))
            }
            of_input = [
                add_bias(x @ kernels["ih"], bias_ih[gates]),
                add_bias(x @ kernels["in"], bias_in[candidate]),
            ]
            of_hidden = [
                add_bias(hidden @ kernels["hh"], bias_hh[gates]),
                add_bias(hidden @ kernels["hn"], bias_hn[candidate]),
            ]
            state = _update(
                jnp.concatenate(of_input, axis=-1), jnp.concatenate(of_hidden, axis=-1), hidden
            )
            states.append(state)
        return states[0], states[1]
