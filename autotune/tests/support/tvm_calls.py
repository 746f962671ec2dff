# Calls exported kernels through apache-tvm-ffi and compares them with numpy.
import sys

import numpy
import tvm_ffi

kernels = tvm_ffi.load_module(sys.argv[1])
random = numpy.random.default_rng(5)


def floats(*shape):
    """Random numbers on a cache line."""
    count = int(numpy.prod(shape))
    memory = numpy.zeros(count + 16, numpy.float32)
    first = (-memory.ctypes.data % 64) // 4
    array = memory[first : first + count].reshape(shape)
    array[:] = random.standard_normal(shape)
    return array


def call(name, *args):
    kernels[name](*(tvm_ffi.from_dlpack(a) if isinstance(a, numpy.ndarray) else a for a in args))


def agree(name, found, wanted):
    error = numpy.abs(found - wanted).max() / numpy.abs(wanted).max()
    assert error < 1e-5, (name, error)
    print(name, "agrees")


x, gain, y = floats(4, 64), floats(64), floats(4, 64)
call("rms_norm_0", x, gain, y)
agree("rms_norm_0", y, x / numpy.sqrt((x * x).mean(1, keepdims=True) + 1e-6) * gain)

w, bias, z = floats(48, 64), floats(48), floats(4, 48)
panels = floats(48 * 64)
panels[:] = w.reshape(3, 16, 64).transpose(0, 2, 1).reshape(-1)
call("matmul_1", x, panels, bias, z)
agree("matmul_1", z, x @ w.T + bias)

z[:] = 7
call("matmul_1", x, panels, bias, z, 2)
assert (z[2:] == 7).all() and (z[:2] != 7).all(), "two rows of four"

for wrong in [(x, panels, bias), (x, panels, bias, z, 5), (x, panels, bias, z, 0), (x, bias, bias, z), (x, 1, 2, 3), (x.T, panels, bias, z)]:
    try:
        call("matmul_1", *wrong)
    except ValueError:
        continue
    raise SystemExit(f"{len(wrong)} arguments were taken")
