"""The house of DESIGN.md, section 5: who may import whom, and how large anything may grow."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gateway"
LONGEST_MODULE = 300
LONGEST_FUNCTION = 40

LEAVES = {
    "__init__": set[str](),
    "errors": set[str](),
    "models": set[str](),
    "clock": set[str](),
    "times": set[str](),
    "secret": set[str](),
    "resources": set[str](),
    "metrics": set[str](),
    "loop_watch": set[str](),
    "timer": set[str](),
    "draining": set[str](),
    "guarded_transport": set[str](),
    "connection_watch": {"timer", "wire_limits"},
    "log": set[str](),
    "sandbox": set[str](),
    "keys": {"models"},
    "secret_scanning": {"keys"},
    "limiter": {"models"},
    "cursor": {"errors"},
    "responses": {"errors"},
    "router": {"errors", "request_record"},
    "request_record": {"errors"},
    "settings": {"errors", "resources", "secret", "settings_checks"},
    "settings_checks": {"errors"},
    "version": {"__init__", "resources"},
    "frozen": set[str](),
    "request_head": {"errors"},
    "wire_limits": {"request_head"},
    "response_cycle": {"request_head"},
    "refusals": {"errors", "log", "responses"},
    "shedding": {"errors", "protocol", "refusals", "request_head"},
    "protocol": {
        "connection_watch",
        "draining",
        "errors",
        "guarded_transport",
        "refusals",
        "request_head",
        "response_cycle",
        "timer",
        "wire_limits",
    },
    "brake": set[str](),
    "passwords": {"errors"},
    "lazy_mount": set[str](),
    "systemd": {"errors"},
    "systemd_unit": {"errors"},
    "workers": {"errors", "systemd"},
    "server": {"clock", "draining", "errors", "protocol", "refusals", "settings", "shedding", "systemd", "wire_limits"},
    "nginx_config": {"errors", "keys", "resources", "settings"},
}
ROOMS = {
    "store": {"errors", "models", "resources", "secret", "times"},
    "airbyte": {"errors", "models", "clock", "times", "secret", "__init__"},
}
RULES = {
    "shared": {"airbyte", "errors", "limiter", "models", "secret", "settings", "store"},
    "validation": {"airbyte", "errors", "models", "times"},
    "last_sync": {"airbyte", "clock", "errors", "models", "shared", "store", "times"},
    "trigger_audit": {"airbyte", "clock", "errors", "models", "shared", "store", "times"},
    "retention": {"clock", "errors", "shared", "store", "times"},
    "sync_history": {"airbyte", "clock", "errors", "models", "store", "times"},
    "syncs": {"airbyte", "clock", "cursor", "errors", "last_sync", "models", "store", "times", "trigger_audit"},
    "inventory": {"airbyte", "clock", "connection_mapping", "errors", "models", "store", "syncs", "times"},
    "connection_mapping": {"airbyte", "clock", "errors", "last_sync", "models", "store", "times", "validation"},
    "provisioning": {
        "airbyte",
        "clock",
        "connection_mapping",
        "errors",
        "keys",
        "last_sync",
        "models",
        "store",
        "times",
        "validation",
    },
    "middleware": {
        "brake",
        "clock",
        "errors",
        "keys",
        "limiter",
        "log",
        "models",
        "refusals",
        "request_record",
        "responses",
        "times",
    },
    "users": {
        "brake",
        "clock",
        "errors",
        "keys",
        "limiter",
        "models",
        "passwords",
        "store",
        "times",
        "validation",
    },
    "manifest": {"clock", "errors", "keys", "models", "store", "times", "validation"},
    "openapi": {"__init__", "cursor", "errors", "keys", "limiter", "middleware", "models", "syncs"},
}
BELOW_SERVICES = {*LEAVES, *ROOMS, *RULES} - {
    "sandbox",
    "server",
    "systemd",
    "systemd_unit",
    "workers",
    "openapi",
    "protocol",
    "request_head",
    "response_cycle",
    "shedding",
    "brake",
    "lazy_mount",
}
FRONT = {
    "services": BELOW_SERVICES,
    "doctor": BELOW_SERVICES - {"middleware"} | {"services"},
    "reload": {"errors", "log", "models", "services", "settings"},
    "dashboard": BELOW_SERVICES - {"airbyte", "store", "settings"} | {"doctor", "openapi", "services", "version"},
    "handlers": BELOW_SERVICES - {"airbyte", "store", "settings"} | {"services", "dashboard", "openapi"},
}
ALL = {*LEAVES, *ROOMS, *RULES, *FRONT}
MAY_IMPORT = {
    **LEAVES,
    **ROOMS,
    **RULES,
    **FRONT,
    "app": ALL - {"sandbox", "server", "protocol", "request_head", "response_cycle", "shedding"},
    "cli": ALL | {"app"},
    "__main__": {"cli"},
}
"""A room is a module or a package directly below `gateway`. Each may also import itself."""

ONLY_IMPORTER = {
    "aiosqlite": r"store/",
    "psycopg": r"store/postgres_\w+\.py",
    "sqlite3": r"store/|doctor/|version\.py",
    "httpx2": r"airbyte/client\.py",
    "click": r"cli/",
    "uvicorn": r"(protocol|response_cycle|server)\.py",
    "httptools": r"(protocol|request_head)\.py",
    "redis": r"shared/valkey\.py",
    "prometheus_client": r"metrics\.py",
    "jinja2": r"dashboard/|nginx_config\.py",
    "argon2": r"passwords\.py",
    "zxcvbn": r"passwords\.py",
    "tomli_w": r"manifest/",
    "starlette": r"(app|lazy_mount|responses|router|services)\.py|(dashboard|handlers|middleware|sandbox)/",
    "gateway.sandbox": r"(cli|sandbox)/",
}
FORBIDDEN_MODULES = {"fastapi", "multipart", "python_multipart", "httpx", "requests", "starlette.middleware.base"}
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

    def imports(self) -> Iterator[str]:
        """Dotted names; of `from a import b` both `a` and `a.b`. Wherever in the module they stand."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: relative import"
                assert node.module
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def rooms_imported(self) -> set[str]:
        rooms = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                paths = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                paths = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for path in paths:
                package, _, rest = path.partition(".")
                if package == "gateway":
                    first = rest.partition(".")[0]
                    rooms.add(first if first in ROOM_NAMES else "__init__")
        return rooms - {self.room}

    def names_used(self) -> Iterator[tuple[str, int]]:
        """`print`, `time.time`, `datetime.datetime.now` as written, and `time.time` for `from time import time`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name | ast.Attribute):
                yield ast.unparse(node), node.lineno
            elif isinstance(node, ast.ImportFrom):
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]
ROOM_NAMES = {module.room for module in MODULES}

every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


def test_the_package_is_where_we_look() -> None:
    assert {"app.py", "cli/main.py", "sandbox/app.py", "store/database.py"} <= {module.name for module in MODULES}


def test_every_room_has_its_place_in_the_table() -> None:
    assert ROOM_NAMES - MAY_IMPORT.keys() == set()


def test_the_table_has_no_circle() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()


@every_module
def test_a_room_imports_only_what_it_may(module: Module) -> None:
    assert module.rooms_imported() - MAY_IMPORT[module.room] == set()


@pytest.mark.parametrize("foreign", ONLY_IMPORTER)
def test_a_library_is_imported_in_one_place_only(foreign: str) -> None:
    importers = {
        module.name for module in MODULES if any(f"{name}.".startswith(f"{foreign}.") for name in module.imports())
    }

    assert importers, f"{foreign} is imported nowhere: is this rule out of date?"
    assert {name for name in importers if not re.match(ONLY_IMPORTER[foreign], name)} == set()


@every_module
def test_nothing_forbidden_is_imported(module: Module) -> None:
    imported = set(module.imports())

    assert {name for name in imported if name.partition(".")[0] in FORBIDDEN_MODULES} == set()
    assert imported & FORBIDDEN_MODULES == set()
    assert {name.rpartition(".")[2] for name in imported} & FORBIDDEN_NAMES == set()


def test_nothing_forbidden_is_depended_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[^A-Za-z0-9_-]", each)[0].lower() for each in project["dependencies"]}

    assert names & {"python-multipart", "fastapi", "httpx", "requests", "itsdangerous"} == set()


@every_module
def test_the_environment_is_read_by_the_command_line_only(module: Module) -> None:
    read = {name for name, _ in module.names_used() if name in {"os.environ", "os.getenv", "os.environb"}}

    assert not read or module.name == "cli/options.py"


@every_module
def test_only_the_command_line_prints(module: Module) -> None:
    prints = [line for name, line in module.names_used() if name in {"print", "sys.stdout", "sys.__stdout__"}]

    assert not prints or module.room == "cli"


@every_module
def test_time_comes_from_the_clock(module: Module) -> None:
    used = {
        name
        for name, _ in module.names_used()
        if name in WALL_CLOCKS or name.removeprefix("datetime.") in WALL_CLOCKS or name.endswith(".datetime.now")
    }
    allowed = {"clock.py": {"datetime.now", "time.monotonic"}, "sandbox/app.py": {"time.time"}}

    assert used - allowed.get(module.name, set()) == set()


@every_module
def test_a_module_is_short(module: Module) -> None:
    assert len(module.source.splitlines()) <= LONGEST_MODULE


def test_half_of_the_modules_are_very_short() -> None:
    lengths = sorted(len(module.source.splitlines()) for module in MODULES)

    assert lengths[len(lengths) // 2] <= 120


@every_module
def test_a_function_is_short(module: Module) -> None:
    lengths = {
        f"{function.name}, line {function.lineno}": (function.end_lineno or 0) - function.lineno + 1
        for function in module.functions()
    }

    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@every_module
def test_a_module_says_what_it_is(module: Module) -> None:
    assert ast.get_docstring(module.tree)


@every_module
def test_nothing_changes_a_variable_of_the_module(module: Module) -> None:
    assert [node.lineno for node in ast.walk(module.tree) if isinstance(node, ast.Global)] == []


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


@every_module
def test_containers_of_a_module_are_never_changed(module: Module) -> None:
    changed = set(changed_in(module.tree))
    changers = {other.name for other in MODULES if is_named(module, other) and containers_of(module) & changed}

    assert containers_of(module) & changed == set()
    assert changers == set()


def is_named(module: Module, other: Module) -> bool:
    """Whether `other` imports from `module`."""
    dotted = "gateway." + module.name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return dotted in other.imports()
