"""Learned priors of latents."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocgm.modules.distributions import prior_parameters
from ocgm.modules.layers import Dense, add_bias
from ocgm.modules.lstm import LSTM


class AutoregressivePrior(nn.Module):
    """Prior p(z_1) = N(0, I), p(z_k | z_<k) from an LSTM over the slots (GENESIS eq. 3, GENESIS-V2 eq. 4).

    Attributes:
      latent_size: D.
      hidden: size of the LSTM's state.
    """

    latent_size: int
    hidden: int

    def setup(self) -> None:
        self.lstm = LSTM(self.latent_size, self.hidden)
        self.head = Dense(2 * self.latent_size)

    def __call__(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return prior mean and standard deviation, each [B, K, D], of latents z [B, K, D]."""
        mean, sigma = prior_parameters(self.head(self.lstm.scan(z[:, :-1])))
        return (
            jnp.concatenate([jnp.zeros_like(z[:, :1]), mean], axis=1),
            jnp.concatenate([jnp.ones_like(z[:, :1]), sigma], axis=1),
        )

    def sample(self, noise: jax.Array, bounded_mean: bool = True) -> jax.Array:
        """Return an ancestral sample z [B, K, D] from standard normal noise [B, K, D].

        `bounded_mean=False` omits the tanh that bounds the means in training.
        """
        lstm_step = self.lstm.step_function()
        head = self.head.variables["params"]

        def step(carry, noise_k):
            state, z_previous = carry
            state, h = lstm_step(state, z_previous)
            mean, sigma = prior_parameters(add_bias(h @ head["kernel"], head["bias"]), bounded_mean)
            z = mean + sigma * noise_k
            return (state, z), z

        first = noise[:, 0]
        carry = (self.lstm.initial_state(noise.shape[0]), first)
        _, rest = jax.lax.scan(step, carry, noise[:, 1:].swapaxes(0, 1))
        return jnp.concatenate([first[:, None], rest.swapaxes(0, 1)], axis=1)


class ComponentPrior(nn.Module):
    """Prior p(z^c_k | z^m_k), a perceptron with two hidden layers of 256 units (GENESIS section 3.1, appendix B).

    Attributes:
      latent_size: size of the component latents.
    """

    latent_size: int

    @nn.compact
    def __call__(self, z_masks: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return prior mean and standard deviation, each [..., latent_size], given mask latents [..., D]."""
        x = nn.elu(Dense(256, name="hidden_0")(z_masks))
        x = nn.elu(Dense(256, name="hidden_1")(x))
        return prior_parameters(Dense(2 * self.latent_size, name="head")(x))
