"""Compile-time checks that kernels take what the launch plan passes.

A launch hands over addresses of values; a kernel that takes another number of them, or other types,
would read past them or misread them. The checks are plain C++ that stands behind the draft's code,
so that the device compiler and a compiler for the CPU both make them.
"""

from __future__ import annotations

from collections.abc import Iterator

from outpace.codegen.cuda.names import Names, check_plan
from outpace.codegen.cuda.plan import LaunchPlan, LaunchStep, RepeatStep, Step, WhenStep
from outpace.model import Contract, Scalar

CUDA_TYPES = {
    "bool": "unsigned char",
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned int",
    "int64": "long long",
    "uint64": "unsigned long long",
    "float32": "float",
    "float64": "double",
    "complex64": "float2",
    "complex128": "double2",
}
"""Types in CUDA C++ by dtype; `int64_t` and `uint8_t` are accepted for the integers too."""

_PRELUDE = """\
namespace outpace_launch {
template <class A, class B> struct same { static constexpr bool value = false; };
template <class A> struct same<A, A> { static constexpr bool value = true; };
template <class T> struct bare { typedef T type; };
template <class T> struct bare<const T> { typedef T type; };
template <class T> struct bare<volatile T> { typedef T type; };
template <class T> struct bare<const volatile T> { typedef T type; };
template <class T> struct integral {
  static constexpr bool value = same<T, bool>::value || same<T, char>::value
    || same<T, signed char>::value || same<T, unsigned char>::value || same<T, short>::value
    || same<T, unsigned short>::value || same<T, int>::value || same<T, unsigned int>::value
    || same<T, long>::value || same<T, unsigned long>::value || same<T, long long>::value
    || same<T, unsigned long long>::value;
};
template <class T> struct part { typedef T type; };
template <> struct part<float2> { typedef float type; };
template <> struct part<double2> { typedef double type; };
template <class T, class E> struct element {
  static constexpr bool value = same<T, E>::value || same<typename part<T>::type, E>::value
    || (integral<T>::value && integral<E>::value && sizeof(T) == sizeof(E))
    || (__is_class(E) && sizeof(E) % sizeof(typename part<T>::type) == 0);
};
template <class T> struct element<T, void> { static constexpr bool value = true; };
template <class T> struct memory {
  template <class P> struct fits { static constexpr bool value = false; };
  template <class E> struct fits<E *> {
    static constexpr bool value = element<T, typename bare<E>::type>::value;
  };
};
template <class T> struct number {
  template <class P> struct fits {
    static constexpr bool value = same<T, P>::value
      || (integral<T>::value && integral<P>::value && sizeof(P) <= sizeof(T))
      || (__is_class(T) && __is_class(P) && sizeof(T) == sizeof(P));
  };
};
template <int I, class... Rest> struct nth { typedef void type; };
template <int I, class First, class... Rest> struct nth<I, First, Rest...> {
  typedef typename nth<I - 1, Rest...>::type type;
};
template <class First, class... Rest> struct nth<0, First, Rest...> { typedef First type; };
template <class F> struct kernel { static constexpr int count = -1; };
template <class... P> struct kernel<void (*)(P...)> {
  static constexpr int count = sizeof...(P);
  template <int I, class Given> struct takes {
    static constexpr bool value = Given::template fits<typename nth<I, P...>::type>::value;
  };
};
}  // namespace outpace_launch
"""


def launch_checks(plan: LaunchPlan, contract: Contract, params: dict[str, Scalar]) -> str:
    """C++ to append to the draft's code; what does not fit fails a `static_assert` that says so.

    Args:
        plan: Of the draft.
        contract: Of the reference.
        params: The bound parameters, which the draft's code has as macros.

    Raises:
        DraftError: The plan uses names that mean nothing.
    """
    names = check_plan(plan, contract, params)
    lines = [
        line
        for place, step in launches(plan.steps, "steps")
        for line in _checks(step, place, names)
    ]
    return _PRELUDE + "\n".join(dict.fromkeys(lines)) + "\n"


def launches(steps: tuple[Step, ...], where: str) -> Iterator[tuple[str, LaunchStep]]:
    """Every launch of a plan with its place, such as `steps[2].steps[0]`."""
    for i, step in enumerate(steps):
        place = f"{where}[{i}]"
        if isinstance(step, LaunchStep):
            yield place, step
        elif isinstance(step, RepeatStep | WhenStep):
            yield from launches(step.steps, f"{place}.steps")


def _checks(step: LaunchStep, place: str, names: Names) -> Iterator[str]:
    given, kernel = len(step.arguments), f"outpace_launch::kernel<decltype(&{step.kernel})>"
    yield (
        f"static_assert({kernel}::count == {given}, "
        f'"{place}: the plan passes {given} arguments, {step.kernel} takes another number");'
    )
    for i, text in enumerate(step.arguments):
        kind, called = _given(text, names)
        yield (
            f"static_assert({kernel}::takes<{i}, outpace_launch::{kind}>::value, "
            f'"{place}.arguments[{i}]: the plan passes {called}, {step.kernel} takes another '
            'type");'
        )


def _given(text: str, names: Names) -> tuple[str, str]:
    """The check for an argument, and what it is called."""
    if text in names.dtypes:
        kind = CUDA_TYPES[names.dtypes[text]]
        return f"memory<{kind}>", f"{text}, an array of {kind}"
    if text in names.scalars:
        kind = CUDA_TYPES[names.scalars[text]]
        return f"number<{kind}>", f"{text}, {kind}"
    return "number<long long>", f"{text}, an integer of 64 bits"
