"""The guard of a simulation: no clock, chance, thread, process or network but the simulation's own.

Two ways of looking, chosen by measurement (docs/determinism.md). By default every forbidden function is
replaced while the guard is up, in its own module and wherever simulated code has imported it by name. Strict
looks at every call there is, and finds also what was put aside earlier, in a default or an attribute.

The rule kept here: what is only read is noted, and the run goes on, so that one run shows every place; what
would reach out of the simulation is stopped at once. Either way the run fails at its end, because an error
raised within an actor is a crash, and crashes are survived.
"""

import gc
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import update_wrapper
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType, SimpleNamespace
from typing import Final, cast

from attrs import define, field, frozen

from .forbidden import FORBIDDEN, Allowed, Forbidden, always
from .guilt import Place, guilty, is_library
from .setorder import disorder, modules_of

MOST_SHOWN: Final = 10
"""How many places an error names."""


@frozen
class Violation:
    """Something that must not be called, and where it was."""

    what: str
    where: Place
    instead: str

    def __str__(self) -> str:
        """One line: what, where, and what to do."""
        call = "" if " " in self.what else "()"
        return f"{self.what}{call} at {self.where}: {self.instead}"


class NotDeterministic(AssertionError):
    """A story's code does what may come out differently under the same seed. Mend the lines it names."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        lines = [str(one) for one in self.violations[:MOST_SHOWN]]
        if more := len(self.violations) - MOST_SHOWN:
            lines += [f"and {more} more"] if more > 0 else []
        super().__init__("\n".join(lines))


@define(eq=False)
class Watch:
    """One guarded run: what is allowed in it, and what it has seen."""

    allowed: tuple[Allowed, ...]
    thread: int = field(factory=threading.get_ident)
    seen: dict[Violation, None] = field(factory=dict, init=False)

    def meet(self, what: Forbidden, caller: FrameType | None) -> None:
        """Something forbidden is about to be called. Raises `NotDeterministic` if it must not even start."""
        if threading.get_ident() != self.thread:
            return
        where = guilty(caller, what, self.allowed)
        if where is not None:
            violation = Violation(what.name, where, what.instead)
            self.seen[violation] = None
            if what.acts:
                raise NotDeterministic([violation])


# Trio runs one loop in a thread, so a guard within a guard is the only one that counts.
_watching: list[Watch] = []


@contextmanager
def guarded(
    *stories: object, strict: bool = False, allowed: Sequence[Allowed] = ()
) -> Generator[Watch, None, None]:
    """Fail the `trio.run` within the block if simulated code breaks the contract of docs/determinism.md.

    Raises `NotDeterministic` when the block is left, whatever else went wrong in it being the cause; and when
    it is entered, if the modules of these stories (functions, classes or modules, and what they import from
    their own project) go through a set in its order. `strict` looks at every call, and takes twice the time.
    """
    if untidy := [
        Violation(one.what, Place(one.file, one.line, one.function), one.instead)
        for module in modules_of(*stories)
        for one in disorder(module)
    ]:
        raise NotDeterministic(untidy)
    # What an outer guard allows is allowed within it.
    watch = Watch((*allowed, *(_watching[-1].allowed if _watching else ())))
    try:
        with _up(watch, strict=strict):
            yield watch
    except Exception as error:
        if watch.seen:
            raise NotDeterministic(list(watch.seen)) from error
        raise
    if watch.seen:
        raise NotDeterministic(list(watch.seen))


@contextmanager
def _up(watch: Watch, *, strict: bool) -> Iterator[None]:
    with nullcontext() if _watching else _replaced(), _profiled(watch) if strict else nullcontext():
        _watching.append(watch)
        try:
            yield
        finally:
            _watching.remove(watch)


# Replacing.


@frozen(eq=False)
class _Stand:
    """What stands in for one forbidden function. Made once: code that got hold of it may keep it for good."""

    what: Forbidden
    owner: object
    original: Callable[..., object]
    """What the owner's attribute gives, to be recognised where it was imported by name."""

    put: object


def _stand(what: Forbidden, owner: object) -> _Stand:
    original = getattr(owner, what.attribute)
    # A class method has to be told on which class it is called.
    of_class = isinstance(owner, type) and getattr(original, "__self__", None) is owner
    bind = vars(owner)[what.attribute].__get__ if of_class else None

    def stand_in(*given: object, **named: object) -> object:
        if _watching and what.when(given, named):
            _watching[-1].meet(what, sys._getframe(1))  # noqa: SLF001 - the documented way to the caller
        return original(*given, **named) if bind is None else bind(None, given[0])(*given[1:], **named)

    put = update_wrapper(stand_in, original, updated=())
    return _Stand(what, owner, original, classmethod(put) if of_class else put)


_stands: Final[dict[Forbidden, _Stand]] = {}
_searched: Final[set[str]] = set()
_by_name: Final[list[tuple[ModuleType, str, _Stand]]] = []
"""Where judged code has done `from time import time`. Each module is searched once: a run may be short."""


def _search_new_modules() -> None:
    """Make the stand-ins for what has been imported since, and find who has it by name."""
    for what in FORBIDDEN:
        if what not in _stands and what.owner is not None and hasattr(what.owner, what.attribute):
            _stands[what] = _stand(what, what.owner)
    originals = {id(stand.original): stand for stand in _stands.values()}
    new = [name for name in sys.modules if name not in _searched]
    _searched.update(new)
    for module in [sys.modules[name] for name in new]:
        if not is_library(getattr(module, "__file__", None) or "<built in>"):
            named = list(vars(module).items())
            _by_name.extend((module, name, originals[id(one)]) for name, one in named if id(one) in originals)


@contextmanager
def _replaced() -> Iterator[None]:
    """Replace every forbidden function until the block is left."""
    if len(_searched) != len(sys.modules):
        _search_new_modules()
    places = [(stand.owner, stand.what.attribute, stand) for stand in _stands.values()]
    places += [place for place in _by_name if vars(place[0]).get(place[1]) is place[2].original]
    news = [(owner, name, stand.put) for owner, name, stand in places]
    if (clock := sys.modules.get("trio._core._mock_clock")) is not None:
        news.append((clock, "time", _REAL_TIME))
    before = [_put(owner, name, value) for owner, name, value in news]
    try:
        yield
    finally:
        for (owner, name, _), value in zip(news, before, strict=True):
            _put(owner, name, value)


# Virtual clocks made meanwhile read the real one at every step of a run: a stand-in would cost a fifth of it.
_REAL_TIME: Final = SimpleNamespace(perf_counter=time.perf_counter)

_NOTHING: Final = object()
_HEAP_TYPE: Final = 1 << 9


def _put(owner: object, name: str, value: object) -> object:
    """Set an attribute, or delete it for `_NOTHING`; returns what was there."""
    space = vars(owner)
    before = space.get(name, _NOTHING)
    if isinstance(owner, ModuleType):
        space[name] = value  # what setattr does, in a third of the time
    elif isinstance(owner, type) and not owner.__flags__ & _HEAP_TYPE:
        _put_into_c_type(owner, name, value)
    elif value is _NOTHING:
        delattr(owner, name)
    else:
        setattr(owner, name, value)
    return before


def _put_into_c_type(owner: type, name: str, value: object) -> None:
    """Python forbids to set an attribute of a type written in C; its dictionary does not know.

    Without it `datetime.now` would be seen only by looking at every call. Where it does not work nothing is
    changed, and only strict sees it; a test says whether it works.
    """
    try:
        import ctypes  # noqa: PLC0415 - not every Python has it, and only this needs it
    except ImportError:
        return
    space = next((one for one in gc.get_referents(vars(owner)) if isinstance(one, dict)), None)
    if space is not None and name in space:
        space[name] = value
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))


# Looking at every call.


@contextmanager
def _profiled(watch: Watch) -> Iterator[None]:
    """Have this thread report every call it makes."""
    stands = [stand for stand in _stands.values() if stand.what.when is always]
    in_c = {stand.original: stand.what for stand in stands if isinstance(stand.original, BuiltinFunctionType)}
    in_python = {
        stand.original.__code__: stand.what for stand in stands if isinstance(stand.original, FunctionType)
    }

    def look(frame: FrameType, event: str, called: object) -> None:
        if event == "c_call":
            what, caller = in_c.get(cast("BuiltinFunctionType", called)), frame
        elif event == "call" and frame.f_back is not None:
            what, caller = in_python.get(frame.f_code), frame.f_back
        else:
            return
        if what is not None:
            # An error raised in here would end the looking, so even what acts is only noted.
            with suppress(NotDeterministic):
                watch.meet(what, caller)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
