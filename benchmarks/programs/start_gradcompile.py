"""Print how long a fresh process takes to its first gradient and to its first compiled one; see rows/start.py."""

import json
import os
import sys
import time

clock = time.process_time if os.environ.get("BENCHMARK_CLOCK") == "processor" else time.perf_counter
began = clock()
import numpy as np  # noqa: E402  (imports are timed)

import gradcompile as gc  # noqa: E402

imported = clock()
MODEL = """
    x:   data[N, D]
    gt:  labels[N]
    W:   parameter[D, C]
    b:   parameter[C]
    y[s, i] = Sum(x[s, j]*W[j, i], j) + b[i]
    p[s, i] = exp(y[s, i]) / Sum(exp(y[s, k]), k)
    loss    = -Sum(log(p[s, gt[s]]), s)
"""
with np.load(sys.argv[1]) as saved:
    point = dict(saved)
model = gc.compile(gc.parse(MODEL))
emitted_source = model.source
emitted = clock()
value, gradients = model.value_and_grad(**point)
first = clock()
model.wait()
value, gradients = model.value_and_grad(**point)
compiled = clock()
times = {
    "import": imported - began,
    "emitted": emitted - began,
    "answer": first - emitted,
    "compiled": compiled - began,
    "squares": float(sum(np.sum(g**2) for g in gradients)),
}
print(json.dumps(times))
