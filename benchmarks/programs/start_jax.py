"""Print how long a fresh process takes to its first gradient by JAX; see rows/start.py."""

import json
import os
import sys
import time

clock = time.process_time if os.environ.get("BENCHMARK_CLOCK") == "processor" else time.perf_counter
began = clock()
import jax  # noqa: E402  (imports are timed)
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # keep everything
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def loss(W, b, x, gt):
    """Write the loss in JAX."""
    return -jnp.sum(jnp.take_along_axis(jax.nn.log_softmax(x @ W + b), gt[:, None], axis=1))


imported = clock()
with np.load(sys.argv[1]) as saved:
    point = dict(saved)
both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
value, gradients = jax.block_until_ready(both(point["W"], point["b"], point["x"], point["gt"]))
compiled = clock()
times = {
    "import": imported - began,
    "answer": compiled - imported,
    "compiled": compiled - began,
    "squares": float(sum(np.sum(np.asarray(g) ** 2) for g in gradients)),
}
print(json.dumps(times))
