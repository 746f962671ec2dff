# Compiles x wT (+ bias) by TVM into a shared object with the one function `candidate(x, w, [bias,] result)`, whose
# weights lie in panels of some channels, `[panels, columns, channels]`, as ours do.
# Arguments: rows of x, rows of w, columns of both, channels of a panel, 1 with a bias, the CPU as LLVM names it (mcpu),
# the object.
import sys

import tvm
from tvm import te


def matmul(m, n, k, channels, bias):
    x, w = te.placeholder((m, k), name="x"), te.placeholder((n // channels, k, channels), name="w")
    at = te.reduce_axis((0, k), name="at")
    product = lambda i, j: te.sum(x[i, at] * w[j // channels, at, j % channels], axis=at)
    sums = te.compute((m, n), product, name="sums")
    if not bias:
        return [x, w, sums]
    b = te.placeholder((n,), name="b")
    return [x, w, b, te.compute((m, n), lambda i, j: sums[i, j] + b[j], name="result")]


def scheduled(args, m, channels, bias):
    """Lanes over channels, so that no float is reordered; sums of some rows stay in registers."""
    module = tvm.IRModule({"candidate": te.create_prim_func(args).with_attr("global_symbol", "candidate")})
    schedule = tvm.s_tir.Schedule(module)
    schedule.work_on("candidate")
    sums = schedule.get_sblock("sums")
    if bias:
        result = schedule.get_sblock("result")
        schedule.set_scope(sums, 0, "local")
    else:
        result = schedule.cache_write(sums, 0, "local")
    i, j, at = schedule.get_loops(sums)
    rows, row = schedule.split(i, [None, next(tile for tile in (8, 4, 2, 1) if m % tile == 0)])
    panel, lane = schedule.split(j, [None, channels])
    schedule.reorder(panel, rows, at, row, lane)
    schedule.reverse_compute_at(result, rows)
    for block in (sums, result):
        *_, some, lanes = schedule.get_loops(block)
        schedule.vectorize(lanes)
        schedule.unroll(some)
    schedule.decompose_reduction(sums, at)
    return schedule.mod


m, n, k, channels, bias = (int(word) for word in sys.argv[1:6])
target = {"kind": "llvm", "mcpu": sys.argv[6]} if sys.argv[6] else "llvm"
module = scheduled(matmul(m, n, k, channels, bias), m, channels, bias)
tvm.compile(module, target=target).export_library(sys.argv[7])
print(tvm.__version__)
