"""Arguments that are dataclasses, named tuples or typed dicts, taken as their fields.

Kernels, drafts and the judge know arrays and scalars alone: the argument `state: State` of a
function as it is written is the arguments `state_u`, `state_v`, `state_dt` of its contract. The
function itself is always called with the structure.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from outpace.codegen.contract import hints_of, parse_annotation
from outpace.errors import ContractError

InputsCallable = Callable[[dict[str, int], Any], Mapping[str, Any]]


class Form(StrEnum):
    """How a structure holds its fields."""

    DATACLASS = "dataclass"
    NAMED_TUPLE = "named tuple"
    TYPED_DICT = "typed dict"


@dataclass(frozen=True)
class Field:
    """One field of a structure.

    Attributes:
        name: Within the structure.
        hint: Its annotation.
        dtype: Of the array or scalar.
        dims: One expression an axis; None for a scalar.
    """

    name: str
    hint: Any
    dtype: str
    dims: tuple[str, ...] | None

    @property
    def is_array(self) -> bool:
        """Whether it is an array rather than a scalar."""
        return self.dims is not None

    @property
    def annotation(self) -> str:
        """Source text that means the same as its annotation."""
        if self.dims is None:
            return _SCALAR_TYPES.get(self.dtype, f"np.{self.dtype}")
        kind = self.dtype.capitalize().replace("Uint", "UInt")  # as jaxtyping spells it
        return f'{kind}[np.ndarray, "{" ".join(self.dims)}"]'


_SCALAR_TYPES = {"bool": "bool", "int64": "int", "float64": "float", "complex128": "complex"}


@dataclass(frozen=True)
class Structure:
    """An argument that holds others.

    Attributes:
        name: Of the argument.
        made_of: Its annotation: a dataclass, a NamedTuple or a TypedDict.
        form: Which of those.
        fields: In the order of the class.
    """

    name: str
    made_of: type[Any]
    form: Form
    fields: tuple[Field, ...]

    def flat(self, field: Field) -> str:
        """The argument of the contract that a field is."""
        return f"{self.name}_{field.name}"

    def expression(self, field: Field) -> str:
        """How a function reads a field."""
        is_dict = self.form is Form.TYPED_DICT
        return f"{self.name}[{field.name!r}]" if is_dict else f"{self.name}.{field.name}"

    def named(self, name: str) -> Field | None:
        """The field of a name."""
        return next((field for field in self.fields if field.name == name), None)

    def taken_apart(self, value: Any) -> dict[str, Any]:
        """The fields of a value, by their names in the contract; nothing is copied.

        Raises:
            TypeError: It lacks one.
        """
        try:
            return {self.flat(field): self._read(value, field) for field in self.fields}
        except (AttributeError, KeyError, TypeError) as error:
            raise TypeError(
                f"{self.name} is a {type(value).__name__}, which cannot be taken for a "
                f"{self.made_of.__name__}: {error}"
            ) from error

    def put_together(self, values: Mapping[str, Any]) -> Any:
        """A structure of these fields, given by their names in the contract.

        No constructor runs: `__post_init__` might compute, and would compute twice.
        """
        parts = {field.name: values[self.flat(field)] for field in self.fields}
        if self.form is Form.TYPED_DICT:
            return parts
        if self.form is Form.NAMED_TUPLE:
            return tuple.__new__(self.made_of, parts.values())
        made = object.__new__(self.made_of)
        for name, part in parts.items():
            object.__setattr__(made, name, part)  # also where it is frozen
        return made

    def refuse_rebound(self, value: Any, values: Mapping[str, Any]) -> None:
        """Hold a function that was called with a structure to the fields that it was given.

        Raises:
            ContractError: A field holds another object than before.
        """
        for field in self.fields:
            if self._read(value, field) is not values[self.flat(field)]:
                raise rebinding(self, field)

    def _read(self, value: Any, field: Field) -> Any:
        return value[field.name] if self.form is Form.TYPED_DICT else getattr(value, field.name)


def rebinding(structure: Structure, field: Field) -> ContractError:
    """What to write where a field is bound anew, which no kernel can do."""
    expression = structure.expression(field)
    advice = (
        f'write into the array, `{expression}[...] = ...`, with mutates=("{structure.name}.'
        f'{field.name}",), or return the new one'
        if field.is_array
        else "return its new value, and bind it in the caller"
    )
    return ContractError(f"the function binds `{expression}` to another object; {advice}")


# --- Reading annotations ------------------------------------------------------------------------


def structures_of(fn: Callable[..., Any]) -> dict[str, Structure]:
    """The arguments of a function that are structures, by name.

    Raises:
        ContractError: The annotations cannot be evaluated, or one is a structure that cannot be
            taken as its fields; the message says what to write.
    """
    hints = hints_of(fn)
    found = {}
    for parameter in inspect.signature(fn).parameters.values():
        hint: Any = hints.get(parameter.name)
        form = _form_of(hint)
        if form is None:
            _refuse_plain_dict(fn, parameter.name, hint)
            continue
        if parameter.default is not parameter.empty:
            raise ContractError(
                f"{fn.__name__}: {parameter.name!r} is a {hint.__name__}, which is taken as its "
                "fields and can have no default; leave the default out"
            )
        fields = _fields(fn, parameter.name, hint)
        found[parameter.name] = Structure(parameter.name, hint, form, fields)
    _refuse_clashes(fn, found)
    _refuse_structured_result(fn, hints.get("return"))
    return found


def _form_of(hint: Any) -> Form | None:
    if not isinstance(hint, type):
        return None
    if dataclasses.is_dataclass(hint):
        return Form.DATACLASS
    if issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return Form.NAMED_TUPLE
    # That of typing_extensions is no TypedDict to `typing.is_typeddict`.
    return Form.TYPED_DICT if hasattr(hint, "__required_keys__") else None


def _refuse_plain_dict(fn: Callable[..., Any], name: str, hint: Any) -> None:
    kind = typing.get_origin(hint) or hint
    if not isinstance(kind, type) or not issubclass(kind, Mapping):
        return
    example = name.title().replace("_", "")
    raise ContractError(
        f"{fn.__name__}: {name!r} is a {kind.__name__}, which does not say what it holds; write "
        f"`class {example}(TypedDict):` with one line an entry, such as `u: Float64[np.ndarray,"
        f' "y x"]` and `dt: float`, and annotate `{name}: {example}`'
    )


def _fields(fn: Callable[..., Any], name: str, made_of: type) -> tuple[Field, ...]:
    hints = hints_of(made_of)
    found = []
    for field in _field_names(made_of):
        where = f"{name}.{field}"
        if field not in hints:
            raise ContractError(
                f"{fn.__name__}: the field {field!r} of {made_of.__name__} has no annotation; "
                f"write `class {made_of.__name__}(NamedTuple):` with "
                f'`{field}: Float64[np.ndarray, "n"]` for an array, `int` or `float` for a scalar'
            )
        if not field.isidentifier():
            raise ContractError(
                f"{fn.__name__}: {made_of.__name__} has an entry {field!r}, which cannot be the "
                "name of an argument; rename it"
            )
        hint = hints[field]
        if _form_of(hint) is not None:
            raise ContractError(
                f"{fn.__name__}: {where!r} is a {hint.__name__}, a structure within another; give "
                f"its fields to {made_of.__name__}, or make it an argument of its own"
            )
        if field in getattr(made_of, "__optional_keys__", ()):
            raise ContractError(
                f"{fn.__name__}: {where!r} need not be there; a kernel takes every entry, so leave "
                f"NotRequired and total=False out of {made_of.__name__}"
            )
        found.append(Field(field, hint, *parse_annotation(fn, where, hint)))
    if not found:
        raise ContractError(f"{fn.__name__}: {name!r} is a {made_of.__name__}, which has no field")
    return tuple(found)


def _field_names(made_of: Any) -> Sequence[str]:
    if dataclasses.is_dataclass(made_of):
        return [field.name for field in dataclasses.fields(made_of)]
    return getattr(made_of, "_fields", None) or list(hints_of(made_of))


def _refuse_clashes(fn: Callable[..., Any], structures: Mapping[str, Structure]) -> None:
    taken = Counter(name for name in inspect.signature(fn).parameters if name not in structures)
    taken.update(s.flat(field) for s in structures.values() for field in s.fields)
    for structure in structures.values():
        for field in structure.fields:
            if taken[structure.flat(field)] > 1:
                raise ContractError(
                    f"{fn.__name__}: `{structure.name}.{field.name}` is taken as the argument "
                    f"{structure.flat(field)!r}, but there is another one of that name; rename one"
                )


def _refuse_structured_result(fn: Callable[..., Any], hint: Any) -> None:
    if _form_of(hint) is not None:
        raise ContractError(
            f"{fn.__name__} returns a {hint.__name__}; return a tuple of its fields, and make the "
            f"{hint.__name__} of them in the caller, or write into its arrays in place"
        )


# --- Names and values ---------------------------------------------------------------------------


def flat_name(structures: Mapping[str, Structure], name: str) -> str:
    """`state.u` as the contract calls it, `state_u`; any other name as it is.

    Raises:
        ContractError: It is a structure as a whole.
    """
    for structure in structures.values():
        named = {f"{structure.name}.{field.name}": field for field in structure.fields}
        if name == structure.name:
            raise ContractError(
                f"{name!r} is a {structure.made_of.__name__}; name its fields, which are "
                f"{', '.join(named)}"
            )
        if name in named:
            return structure.flat(named[name])
    return name


def taken_apart(
    structures: Mapping[str, Structure], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of a function as written, as those of its contract.

    Raises:
        TypeError: A structure lacks a field.
    """
    values: dict[str, Any] = {}
    for name, value in arguments.items():
        values |= structures[name].taken_apart(value) if name in structures else {name: value}
    return values


def put_together(structures: Mapping[str, Structure], values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a contract, as those of the function as written; the order stays."""
    owners = {s.flat(field): s for s in structures.values() for field in s.fields}
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        owner = owners.get(name)
        if owner is None:
            arguments[name] = value
        elif owner.name not in arguments:
            arguments[owner.name] = owner.put_together(values)
    return arguments


def flat_inputs(structures: Mapping[str, Structure], inputs: InputsCallable) -> InputsCallable:
    """A callable of `inputs=` that may give structures or `state.u`, as one that gives fields."""

    @functools.wraps(inputs)
    def drawn(sizes: dict[str, int], rng: Any) -> Any:
        made: Any = inputs(sizes, rng)
        if not isinstance(made, Mapping):
            return made  # what draws says so
        whole = {name: value for name, value in made.items() if name in structures}
        parts = {flat_name(structures, n): v for n, v in made.items() if n not in structures}
        return parts | taken_apart(structures, whole)

    return drawn


def reader(fn: Callable[..., Any], structures: Mapping[str, Structure]) -> Callable[..., Any]:
    """A quick function of the positional arguments of `fn` that gives those of its contract.

    It raises TypeError where the arguments are too few or too many, and AttributeError, KeyError or
    TypeError where a structure lacks a field.
    """
    names = list(inspect.signature(fn).parameters)
    flat = [
        part
        for name in names
        for part in (
            map(structures[name].expression, structures[name].fields)
            if name in structures
            else [name]
        )
    ]
    text = f"lambda {', '.join(names)}: ({', '.join(flat)},)"
    found: Callable[..., Any] = eval(text)  # noqa: S307  (names alone)
    return found


class FlatFunction:
    """A function with the arguments of a contract that calls another with the structures.

    Its signature and annotations are those of the fields.

    Attributes:
        written: The function that is called.
    """

    __wrapped__: Callable[..., Any]

    def __init__(self, written: Callable[..., Any], structures: Mapping[str, Structure]) -> None:
        functools.update_wrapper(self, written, updated=())
        self.written = written
        self._structures = structures
        signature = inspect.signature(written)
        hints = hints_of(inspect.unwrap(written))
        parameters = [
            part
            for parameter in signature.parameters.values()
            for part in _flat_parameters(parameter, structures, hints)
        ]
        self.__signature__ = signature.replace(parameters=parameters)
        self.__annotations__ = {
            p.name: p.annotation for p in parameters if p.annotation is not p.empty
        }
        if "return" in hints:
            self.__annotations__["return"] = hints["return"]
        kinds = {name: p.kind for name, p in signature.parameters.items()}
        self._by_keyword = [
            n for n, kind in kinds.items() if kind is inspect.Parameter.KEYWORD_ONLY
        ]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function with structures made of these fields.

        Raises:
            TypeError: The arguments do not bind to the signature.
            ContractError: The function bound a field to another object.
        """
        bound = self.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        values = bound.arguments
        given = put_together(self._structures, values)
        by_keyword = {name: given.pop(name) for name in self._by_keyword}
        returned = self.written(*given.values(), **by_keyword)
        for name, structure in self._structures.items():
            structure.refuse_rebound({**given, **by_keyword}[name], values)
        return returned

    def gathered(self, values: Sequence[Any]) -> list[Any]:
        """The arguments of the function as written, in order, from those of the contract."""
        named = dict(zip(self.__signature__.parameters, values, strict=True))
        return list(put_together(self._structures, named).values())


def _flat_parameters(
    parameter: inspect.Parameter, structures: Mapping[str, Structure], hints: Mapping[str, Any]
) -> list[inspect.Parameter]:
    structure = structures.get(parameter.name)
    if structure is None:
        return [parameter.replace(annotation=hints.get(parameter.name, parameter.annotation))]
    return [parameter.replace(name=structure.flat(f), annotation=f.hint) for f in structure.fields]
