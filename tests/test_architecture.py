"""The rooms of the package: who may import whom, and how large anything may grow."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

from gateway import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gateway"
LONGEST_MODULE = 300
LONGEST_FUNCTION = 40
MEDIAN_MODULE = 120
MOST_ROOMS = 30
FEWEST_WORDS = 5
"""Of a module's first line: its bare name tells nothing."""
OTHER_TEST_FOLDERS = {"binary", "browser", "clients", "faults", "machine", "nginx", "openapi_tools", "together"}
"""Tests of several rooms at once, by what they run: real servers, browsers, faults, systemd, several gateways."""
OTHER_TEST_MODULES = {
    "architecture",
    "binary_parent",
    "documentation",
    "locks",
    "monitoring",
    "third_party_licenses",
    "words",
}
"""Of the whole repository, or of what lies outside the package."""

FOR_ALL = ("__init__", "errors", "models")
"""Importable by each room below them but the sandbox, which imports nothing of ours."""
UP_TO_PROVISIONING = (
    *("errors", "models", "times", "resources", "single_flight", "background", "telemetry", "limiter", "settings"),
    *("validation", "store", "airbyte", "auth", "cluster", "syncs", "webhooks", "notices", "provisioning"),
)
UP_TO_SERVICES = (*UP_TO_PROVISIONING, "services")
PAGES = ("web", "doctor", "api", "dashboard")
"""What people and callers see, and what it rests on."""
ROOMS: dict[str, tuple[str, ...]] = {
    "__init__": (),
    "errors": (),
    "models": (),
    "times": (),
    "resources": (),
    "single_flight": (),
    "background": (),
    "telemetry": (),
    "sandbox": (),
    "limiter": ("models",),
    "settings": ("errors", "resources"),
    "validation": ("errors", "models", "times"),
    "store": ("errors", "models", "times", "resources", "settings.secret", "single_flight", "background"),
    "airbyte": ("errors", "models", "times", "resources", "validation", "single_flight", "settings.secret"),
    "auth": ("store", "limiter", "validation", "errors", "models", "times"),
    "cluster": ("airbyte", "store", "limiter", "settings", "errors", "models", "background"),
    "web": ("auth", "limiter", "settings", "telemetry", "errors", "models", "times", "background"),
    "syncs": ("airbyte", "store", "cluster", "single_flight", "errors", "models", "times", "background"),
    "webhooks": (
        "errors",
        "models",
        "times",
        "resources",
        "validation",
        "store",
        "syncs",
        "settings",
        "limiter",
        "single_flight",
        "background",
    ),
    "notices": ("errors", "models", "times", "settings", "store", "airbyte", "syncs", "webhooks", "background"),
    "provisioning": ("airbyte", "store", "auth", "syncs", "validation", "single_flight", "errors", "models", "times"),
    "deployment": ("settings", "auth.keys", "web.compatible_paths", "errors", "resources"),
    "services": UP_TO_PROVISIONING,
    "doctor": UP_TO_SERVICES,
    "api": ("services", "syncs", "web", "limiter", "auth", "models", "errors", "times", "resources"),
    "airbyte_compat": ("services", "syncs", "web", "auth", "times", "api", "models", "errors"),
    "dashboard": ("api", "doctor", "web", *UP_TO_SERVICES),
    "app": ("sandbox", "deployment", "airbyte_compat", *PAGES, *UP_TO_SERVICES),
    "cli": ("sandbox", "deployment", "airbyte_compat", *PAGES, *UP_TO_SERVICES, "app"),
    "__main__": ("sandbox", "deployment", "airbyte_compat", *PAGES, *UP_TO_SERVICES, "app", "cli"),
}
"""What each room may import, from the ground up. A room is a module or a package directly below `gateway`.

`settings.secret`, `auth.keys` and `web.compatible_paths` are those modules alone. A room may also import itself, and
only rooms that stand above it here.
"""

ONLY_IMPORTER = {
    "aiosqlite": r"store/",
    "psycopg": r"store/postgres/",
    "sqlite3": r"store/|doctor/|resources\.py",
    "httpx2": r"airbyte/(in_process|tls)\.py|doctor/probe\.py|webhooks/sender\.py",
    "click": r"cli/",
    "cronsim": r"syncs/quartz\.py",
    "uvicorn": r"web/server/(answering|peers|protocol|response_cycle|scope|server|shedding)\.py",
    "httptools": r"airbyte/socket_connection\.py|web/server/(protocol|request_head)\.py",
    "aiosmtplib": r"notices/smtp\.py",
    "redis": r"cluster/script_server\.py",
    "opentelemetry": r"telemetry/tracing\.py",
    "requests": r"telemetry/tracing\.py",
    "prometheus_client": r"telemetry/(collectors|metrics)\.py",
    "jinja2": r"dashboard/|deployment/nginx\.py",
    "argon2": r"auth/passwords\.py",
    "zxcvbn": r"auth/passwords\.py",
    "pyotp": r"auth/one_time_codes\.py",
    "segno": r"dashboard/qr_code\.py",
    "tomli_w": r"provisioning/manifest/",
    "starlette": r"app\.py|services/|(airbyte_compat|api|dashboard|sandbox|web)/",
    "gateway.sandbox": r"(cli|sandbox)/",
}
TASK_STARTERS = {
    "background.py": "the owner of all that runs on",
    "single_flight.py": "a call ends by itself, and whoever asked for it learns its failure",
    "store/writing.py": "a transaction ends by itself, and is waited for when the database is closed",
    "store/postgres/connection.py": "a statement that was abandoned is watched to its end",
    "syncs/waiting.py": "an answer ends with the caller that waits for it",
    "web/server/answering.py": "a request is answered, and the server knows its task until then",
    "cluster/script_server.py": "a round trip ends with its patience",
    "cluster/valkey.py": "a batch ends with its round trip; what it was asked is failed in any case",
    "cluster/shared_bulkhead.py": "a permit is given back within its life, or ends by itself",
}
"""Who else may start a task, and why it needs no owner."""
TIMED_CALLERS = {
    "web/server/timer.py": "one call, which whoever set it calls off; it sets no other",
    "web/server/back_pressure.py": "sets the next call while socket connections are held, and ends with the last",
    "store/writing.py": "one call, which ends with the write that waits",
    "airbyte/socket_connection.py": "one call, which ends a connection, whether or not that ended before",
    "syncs/waiting.py": "one call, which is called off with the wait",
    "web/early_responses.py": "one call after a second that had early responses; the next such response sets the next",
}
"""Who has the event loop call a function later, and why that needs no owner."""
SECONDS_OUTSIDE_TIMINGS = {
    "UNIT_SECONDS": "units of Airbyte's schedules",
    "HOUR_SECONDS": "a unit",
    "SPAN_OF_DATES_SECONDS": "what a chart's axis says",
    "ROUND_SECONDS": "what a chart's axis says",
    "CLOCK_SKEW_SECONDS": "a limit for what is measured; nobody waits for it",
    "LONGEST_RETRY_SECONDS": "a limit for what is measured; nobody waits for it",
    "_SECONDS": "a pattern",
    "SECONDS": "borders of a histogram",
    "MICROSECONDS": "a unit",
    "MILLISECONDS": "a unit",
}
"""Constants of seconds that stand elsewhere than in a room's `timings.py`, and why."""
SEVERAL_VALUES = {
    "NOTICES": "what a page says after a redirect to it; each page has its own",
    "SORTED_BY": "the orders of a page's list",
}
"""Constants that may have another value in another module, and why."""
FORBIDDEN_MODULES = {"fastapi", "multipart", "python_multipart", "httpx", "starlette.middleware.base"}
FORBIDDEN_NAMES = {"BaseHTTPMiddleware", "SessionMiddleware"}
WALL_CLOCKS = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.localtime",
    "time.gmtime",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
}
MUTATORS = {
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "popleft",
    "remove",
    "setdefault",
    "sort",
    "update",
}
CONTAINERS = {"list", "dict", "set", "deque", "defaultdict", "OrderedDict", "Counter", "TTLCache", "LRUCache"}


@dataclass(frozen=True)
class Module:
    """A source file of the package, parsed."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(PACKAGE).as_posix()

    @property
    def room(self) -> str:
        return self.path.relative_to(PACKAGE).with_suffix("").parts[0]

    @cached_property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def imports(self) -> set[str]:
        """Dotted names; of `from a import b` both `a` and `a.b`. Wherever in the module they stand."""
        names = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: relative import"
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        return names

    @cached_property
    def rooms_imported(self) -> set[str]:
        """Rooms, and of those that may be imported in part only, the part: `settings.secret`."""
        rooms = set()
        for path in self.imports:
            package, _, rest = path.partition(".")
            if package == "gateway":
                room, _, part = rest.partition(".")
                narrow = ".".join((room, part.partition(".")[0]))
                rooms.add(narrow if narrow in PARTS else room if room in ROOMS else "__init__")
        return {room for room in rooms if room.partition(".")[0] != self.room}

    @cached_property
    def names_used(self) -> list[tuple[str, int]]:
        """`print`, `time.time`, `datetime.datetime.now` as written, and `time.time` for `from time import time`."""
        names = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name | ast.Attribute):
                names.append((ast.unparse(node), node.lineno))
            elif isinstance(node, ast.ImportFrom):
                names += ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        return names

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


PARTS = {name for allowed in ROOMS.values() for name in allowed if "." in name}
MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]


def all_that(found: Callable[[Module], object]) -> dict[str, object]:
    """What `found` says of each module of which it says anything."""
    return {module.name: said for module in MODULES if (said := found(module))}


def test_the_package_is_where_we_look() -> None:
    assert {"app.py", "cli/main.py", "sandbox/app.py", "store/database.py"} <= {module.name for module in MODULES}


def test_the_table_has_a_row_for_each_room_and_no_other() -> None:
    assert {module.room for module in MODULES} == ROOMS.keys()


def test_the_table_is_in_the_order_of_the_floors() -> None:
    rooms = list(ROOMS)
    not_above = {
        room: {name for name in allowed if rooms.index(name.partition(".")[0]) >= rooms.index(room)}
        for room, allowed in ROOMS.items()
    }

    assert {room: names for room, names in not_above.items() if names} == {}


def test_a_room_imports_only_what_it_may() -> None:
    assert all_that(lambda module: module.rooms_imported - permitted(module.room)) == {}


def permitted(room: str) -> set[str]:
    """Return its row, where a whole room stands for its parts as well, and what all may import."""
    row = {*ROOMS[room], *(() if room in {*FOR_ALL, "sandbox"} else FOR_ALL)}
    return row | {part for part in PARTS if part.partition(".")[0] in row}


def test_the_root_of_the_package_has_rooms_only() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}

    assert entries == {module.path.relative_to(PACKAGE).parts[0] for module in MODULES}
    assert len(entries) <= MOST_ROOMS


def test_a_library_is_imported_in_one_place_only() -> None:
    for foreign, place in ONLY_IMPORTER.items():
        importers = {
            module.name for module in MODULES if any(f"{name}.".startswith(f"{foreign}.") for name in module.imports)
        }

        assert importers, f"{foreign} is imported nowhere: is this rule out of date?"
        assert {name for name in importers if not re.match(place, name)} == set(), foreign


def test_nothing_forbidden_is_imported() -> None:
    def forbidden(module: Module) -> set[str]:
        return {
            name
            for name in module.imports
            if any(f"{name}.".startswith(f"{module_name}.") for module_name in FORBIDDEN_MODULES)
            or name.rpartition(".")[2] in FORBIDDEN_NAMES
        }

    assert all_that(forbidden) == {}


def test_nothing_forbidden_is_depended_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[^A-Za-z0-9_-]", each)[0].lower() for each in project["dependencies"]}

    assert names & {"python-multipart", "fastapi", "httpx", "requests", "itsdangerous"} == set()


def test_the_environment_is_read_by_the_command_line_only() -> None:
    variables = {"os.environ", "os.getenv", "os.environb"}

    assert all_that(lambda module: variables & {name for name, _ in module.names_used}).keys() == {"cli/options.py"}


def test_only_the_command_line_prints() -> None:
    outputs = {"print", "sys.stdout", "sys.__stdout__"}

    assert {
        name
        for name in all_that(lambda module: outputs & {name for name, _ in module.names_used})
        if "cli/" not in name
    } == set()


def test_time_comes_from_the_clock() -> None:
    allowed = {"times.py": {"datetime.now", "time.monotonic"}, "sandbox/app.py": {"time.time"}}

    def clocks(module: Module) -> set[str]:
        return {
            name
            for name, _ in module.names_used
            if name in WALL_CLOCKS or name.removeprefix("datetime.") in WALL_CLOCKS or name.endswith(".datetime.now")
        } - allowed.get(module.name, set())

    assert all_that(clocks) == {}


def test_a_task_that_runs_on_belongs_to_its_owner() -> None:
    assert users_of("create_task", "ensure_future", "TaskGroup") == TASK_STARTERS.keys()


def test_a_call_that_the_event_loop_makes_later_has_its_reason() -> None:
    assert users_of("call_later", "call_at") == TIMED_CALLERS.keys()


def users_of(*names: str) -> set[str]:
    """Return the modules in which one of the names stands, with or without something before a dot."""
    found = all_that(lambda module: {name.rpartition(".")[2] for name, _ in module.names_used} & set(names))
    return {name for name in found if not name.startswith("sandbox/")}


def test_a_module_is_short() -> None:
    lengths = {module.name: len(module.source.splitlines()) for module in MODULES}

    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}
    assert sorted(lengths.values())[len(lengths) // 2] <= MEDIAN_MODULE


def test_a_function_is_short() -> None:
    def long_functions(module: Module) -> dict[str, int]:
        lengths = {
            f"{function.name}, line {function.lineno}": (function.end_lineno or 0) - function.lineno + 1
            for function in module.functions()
        }
        return {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}

    assert all_that(long_functions) == {}


def test_a_module_says_what_lives_there() -> None:
    def first_words(module: Module) -> list[str]:
        return (ast.get_docstring(module.tree) or "").partition("\n")[0].split()

    assert all_that(lambda module: len(first_words(module)) < FEWEST_WORDS) == {}


def test_what_can_be_called_from_outside_says_what_it_does() -> None:
    def silent(module: Module) -> set[str]:
        public = [*callable_from_outside(module.tree), *filter(is_class, ast.walk(module.tree))]
        return {node.name for node in public if not (node.name.startswith("_") or is_stub(node) or is_told(node))}

    assert all_that(silent) == {}


def is_stub(node: ast.AST) -> bool:
    """Whether it is one line of a protocol, whose class says what it is for."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.unparse(node.body[-1]) == "..."


def is_told(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return bool(ast.get_docstring(node))


def test_a_public_function_says_which_of_our_errors_it_raises() -> None:
    ours = {name: each for name, each in vars(errors).items() if isinstance(each, type)}

    def names_of(error: str) -> set[str]:
        return {each.__name__ for each in ours[error].__mro__}

    def silent(module: Module) -> set[str]:
        return {
            f"{function.name}: {error}"
            for function in callable_from_outside(module.tree)
            for error in raised_in(function) & ours.keys()
            if not names_of(error) & set(re.findall(r"\w+", ast.get_docstring(function) or ""))
        }

    assert {name: found for name, found in all_that(silent).items() if not name.startswith("sandbox/")} == {}


def callable_from_outside(node: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions of a module and methods of its classes, whose names do not begin with an underscore."""
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from callable_from_outside(child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield child


def raised_in(function: ast.AST) -> set[str]:
    """The last part of the name of each exception that a function raises by itself."""
    raised = (node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc is not None)
    return {ast.unparse(each.func if isinstance(each, ast.Call) else each).rpartition(".")[2] for each in raised}


def is_class(node: ast.AST) -> TypeGuard[ast.ClassDef]:
    return isinstance(node, ast.ClassDef)


def test_nothing_changes_a_variable_of_the_module() -> None:
    assert all_that(lambda module: [n.lineno for n in ast.walk(module.tree) if isinstance(n, ast.Global)]) == {}


def test_containers_of_a_module_are_never_changed() -> None:
    changed = {module.name: set(changed_in(module.tree)) for module in MODULES}

    def changers(module: Module) -> set[str]:
        containers = containers_of(module)
        return {
            other.name
            for other in MODULES
            if (other is module or is_named(module, other)) and containers & changed[other.name]
        }

    assert all_that(changers) == {}


def test_a_constant_has_one_value_in_the_whole_package() -> None:
    values: dict[str, dict[str, str]] = {}
    for module in MODULES:
        for name, value in constants_of(module.tree):
            values.setdefault(name, {})[module.name] = value
    several = {name: found for name, found in values.items() if len(set(found.values())) > 1}

    assert {name: found for name, found in several.items() if name not in SEVERAL_VALUES} == {}
    assert SEVERAL_VALUES.keys() - several.keys() == set()


def test_timings_stand_in_one_module_of_each_room() -> None:
    def seconds(module: Module) -> set[str]:
        return {name for name, _ in constants_of(module.tree) if name.endswith("SECONDS")}

    found = set[str]().union(*(seconds(module) for module in MODULES if not module.name.startswith("sandbox/")))

    assert found == SECONDS_OUTSIDE_TIMINGS.keys()


def constants_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield name and value, as written, of what stands in a module itself in capital letters."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from assigned(target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from assigned(node.target, node.value)


def assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(target, ast.Name) and target.id.isupper():
        yield target.id, ast.unparse(value)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, its in zip(target.elts, value.elts, strict=True):
            yield from assigned(each, its)


def is_container(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).rpartition(".")[2].partition("[")[0] in CONTAINERS
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def containers_of(module: Module) -> set[str]:
    """Names of the lists, dictionaries and sets that stand in a module itself."""
    names = set()
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and is_container(node.value):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and is_container(node.value) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def changed_in(tree: ast.AST) -> Iterator[str]:
    """What is changed in place: the last part of the name of each container written to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            yield ast.unparse(node.func.value).rpartition(".")[2]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            yield ast.unparse(node.value).rpartition(".")[2]
        elif isinstance(node, ast.AugAssign):
            yield ast.unparse(node.target).rpartition(".")[2]


def is_named(module: Module, other: Module) -> bool:
    """Whether `other` imports from `module`."""
    dotted = "gateway." + module.name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return any(name == dotted or name.startswith(f"{dotted}.") for name in other.imports)


def test_the_tests_mirror_the_rooms() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    modules = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}

    assert folders - ROOMS.keys() == OTHER_TEST_FOLDERS
    assert modules - ROOMS.keys() == OTHER_TEST_MODULES
    assert ROOMS.keys() - folders - modules == {"__init__", "__main__"}


def test_the_tests_of_a_room_mirror_its_folders() -> None:
    folders = {
        folder.relative_to(ROOT / "tests")
        for room in ROOMS
        for folder in (ROOT / "tests" / room).rglob("*")
        if folder.is_dir() and folder.name != "__pycache__"
    }

    assert {folder for folder in folders if not (PACKAGE / folder).is_dir()} == set()


def test_no_group_is_repeated_possessively() -> None:
    """Python 3.11.0 to 3.11.4 match too much or too little then (gh-106052); single characters they get right."""
    repeated = re.compile(r"(?<!\\)\)(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\+")
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "gateway").rglob("*.py")}

    assert [str(path) for path, text in texts.items() if repeated.search(text)] == []
