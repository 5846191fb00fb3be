"""Print how long a fresh process takes to its first gradient and to its first compiled one; see rows/start.py."""

import json
import sys
import time

began = time.perf_counter()
import numpy as np  # noqa: E402  (imports are timed)

import gradcompile as gc  # noqa: E402

imported = time.perf_counter()
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
emitted = time.perf_counter()
value, gradients = model.value_and_grad(**point)
first = time.perf_counter()
model.wait()
value, gradients = model.value_and_grad(**point)
compiled = time.perf_counter()
times = {
    "import": imported - began,
    "emitted": emitted - began,
    "answer": first - emitted,
    "first": first - began,
    "compiled": compiled - began,
    "squares": float(sum(np.sum(g**2) for g in gradients)),
}
print(json.dumps(times))
