# expect: wrong
# class: harness
# tries: Replaces the function that makes its views by one that shows the output as input.
# held by: the judge places, fills and reads the buffers
import outpace.tuner.worker as worker

_views = worker._arguments


def _swapped(item, inputs, outputs):
    return _views(item, inputs, outputs)[::-1]


worker._arguments = _swapped


def kernel(out, u):
    out[...] = 0.0
