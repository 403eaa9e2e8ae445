"""Long short-term memory with PyTorch's parameters."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocgm.modules.initializers import uniform_fan_in
from ocgm.modules.layers import add_bias


class LSTM(nn.Module):
    """LSTM cell with PyTorch's parameters (two biases, gates in the order i, f, g, o).

    Flax's cells have one bias; with two, parameter counts, initial values and Adam's steps are PyTorch's. The
    parameters are created in `setup`, so that the step function can run under `jax.lax.scan`.

    Attributes:
      in_features: size of the inputs.
      hidden: size of the state.
    """

    in_features: int
    hidden: int

    def setup(self) -> None:
        init = uniform_fan_in(self.hidden)
        self.kernel_ih = self.param("kernel_ih", init, (self.in_features, 4 * self.hidden))
        self.kernel_hh = self.param("kernel_hh", init, (self.hidden, 4 * self.hidden))
        self.bias_ih = self.param("bias_ih", init, (4 * self.hidden,))
        self.bias_hh = self.param("bias_hh", init, (4 * self.hidden,))

    def initial_state(self, batch_size: int) -> tuple[jax.Array, jax.Array]:
        """Return the zero state (h, c), each [B, hidden]."""
        zeros = jnp.zeros((batch_size, self.hidden))
        return zeros, zeros

    def scan(self, inputs: jax.Array) -> jax.Array:
        """Return outputs h_t [B, T, hidden] for inputs [B, T, in_features], from the zero state."""
        state = self.initial_state(inputs.shape[0])
        step = self.step_function()
        _, outputs = jax.lax.scan(step, state, inputs.swapaxes(0, 1))
        return outputs.swapaxes(0, 1)

    def step_function(self) -> Callable:
        """Return the pure function (state, input [B, in_features]) -> (state, output [B, hidden])."""
        kernel_ih, kernel_hh, bias = self.kernel_ih, self.kernel_hh, self.bias_ih + self.bias_hh

        def step(state, x):
            h, c = state
            gates = add_bias(x @ kernel_ih + h @ kernel_hh, bias)
            i, f, g, o = jnp.split(gates, 4, axis=-1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
            h = nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        return step
