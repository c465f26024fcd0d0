"""Compile-time checks that kernels take what the launch plan passes.

A launch hands over addresses of values; a kernel that takes another number of them, or other types,
would read past them or misread them. The checks are plain C++ that stands behind the draft's code,
so that the device compiler and a compiler for the CPU both make them.
"""

from __future__ import annotations

import re
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
template <class O_A, class O_B> struct O_same { static constexpr bool O_is = false; };
template <class O_A> struct O_same<O_A, O_A> { static constexpr bool O_is = true; };
template <class O_T> struct O_bare { typedef O_T O_type; };
template <class O_T> struct O_bare<const O_T> { typedef O_T O_type; };
template <class O_T> struct O_bare<volatile O_T> { typedef O_T O_type; };
template <class O_T> struct O_bare<const volatile O_T> { typedef O_T O_type; };
template <class O_T> struct O_integral {
  static constexpr bool O_is = O_same<O_T, bool>::O_is || O_same<O_T, char>::O_is
    || O_same<O_T, signed char>::O_is || O_same<O_T, unsigned char>::O_is
    || O_same<O_T, short>::O_is || O_same<O_T, unsigned short>::O_is
    || O_same<O_T, int>::O_is || O_same<O_T, unsigned int>::O_is
    || O_same<O_T, long>::O_is || O_same<O_T, unsigned long>::O_is
    || O_same<O_T, long long>::O_is || O_same<O_T, unsigned long long>::O_is;
};
template <class O_T> struct O_part { typedef O_T O_type; };
template <> struct O_part<float2> { typedef float O_type; };
template <> struct O_part<double2> { typedef double O_type; };
template <class O_T, class O_E> struct O_element {
  typedef typename O_part<O_T>::O_type O_scalar;
  static constexpr bool O_is = O_same<O_T, O_E>::O_is || O_same<O_scalar, O_E>::O_is
    || (O_integral<O_T>::O_is && O_integral<O_E>::O_is && sizeof(O_T) == sizeof(O_E))
    || (__is_class(O_E) && sizeof(O_E) % sizeof(O_scalar) == 0);
};
template <class O_T> struct O_element<O_T, void> { static constexpr bool O_is = true; };
template <class O_T> struct O_memory {
  template <class O_P> struct O_fits { static constexpr bool O_is = false; };
  template <class O_E> struct O_fits<O_E *> {
    static constexpr bool O_is = O_element<O_T, typename O_bare<O_E>::O_type>::O_is;
  };
};
template <class O_T> struct O_number {
  template <class O_P> struct O_fits {
    static constexpr bool O_is = O_same<O_T, O_P>::O_is
      || (O_integral<O_T>::O_is && O_integral<O_P>::O_is && sizeof(O_P) <= sizeof(O_T))
      || (__is_class(O_T) && __is_class(O_P) && sizeof(O_T) == sizeof(O_P));
  };
};
template <int O_I, class... O_Rest> struct O_nth { typedef void O_type; };
template <int O_I, class O_First, class... O_Rest> struct O_nth<O_I, O_First, O_Rest...> {
  typedef typename O_nth<O_I - 1, O_Rest...>::O_type O_type;
};
template <class O_First, class... O_Rest> struct O_nth<0, O_First, O_Rest...> {
  typedef O_First O_type;
};
template <class O_F> struct O_kernel { static constexpr int O_count = -1; };
template <class... O_P> struct O_kernel<void (*)(O_P...)> {
  static constexpr int O_count = sizeof...(O_P);
  template <int O_I, class O_Given> struct O_takes {
    typedef typename O_nth<O_I, O_P...>::O_type O_taken;
    static constexpr bool O_is = O_Given::template O_fits<O_taken>::O_is;
  };
};
"""
"""Every name begins with `O_`, which `_own` makes unmistakable: parameters of a draft are macros,
and may well be called T or count."""


_WORDS = "".join(
    f"#undef {word}\n"
    for word in sorted(
        {"static_assert", "decltype"}.union(
            *(re.findall(r"[A-Za-z_]\w*", text) for text in (_PRELUDE, *CUDA_TYPES.values()))
        )
    )
    if not word.startswith("O_")
)
"""The words of C++ that the checks are made of: macros of a draft could let everything pass."""


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
    return _WORDS + _own(_PRELUDE) + "\n".join(dict.fromkeys(lines)) + "\n"


def launches(steps: tuple[Step, ...], where: str) -> Iterator[tuple[str, LaunchStep]]:
    """Every launch of a plan with its place, such as `steps[2].steps[0]`."""
    for i, step in enumerate(steps):
        place = f"{where}[{i}]"
        if isinstance(step, LaunchStep):
            yield place, step
        elif isinstance(step, RepeatStep | WhenStep):
            yield from launches(step.steps, f"{place}.steps")


def _checks(step: LaunchStep, place: str, names: Names) -> Iterator[str]:
    given, kernel = len(step.arguments), f"outpace_launch_kernel<decltype(&{step.kernel})>"
    yield (
        f"static_assert({kernel}::outpace_launch_count == {given}, "
        f'"{place}: the plan passes {given} arguments, {step.kernel} takes another number");'
    )
    for i, text in enumerate(step.arguments):
        kind, called = _given(text, names)
        yield (
            f"static_assert({kernel}::outpace_launch_takes<{i}, outpace_launch_{kind}>::"
            f"outpace_launch_is, "
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


def _own(text: str) -> str:
    """C++ with the names of this module spelt out."""
    return re.sub(r"\bO_(?=\w)", "outpace_launch_", text)
