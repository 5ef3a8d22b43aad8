"""Which code cells of a notebook depend on which: by the names that they bind and use."""

import ast
import hashlib
import re
import symtable
from collections.abc import Iterable

from nbformat import NotebookNode

RECORDING = ("paper", "ours", "library", "distance")


def parse(source: str) -> ast.Module | None:
    """The syntax tree of a cell, its magics left out; None if it is no Python."""
    try:
        return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE))
    except SyntaxError:
        return None


def code(notebook: NotebookNode) -> list[str]:
    """The sources of the code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def bound(source: str, effects: dict[str, set[str]]) -> set[str]:
    """The names that a cell binds at its top level, or changes: ``x = ...``, ``x[i] = ...``, ``x.append(...)``.

    ``effects`` says which names the notebook's own functions change when they are called.
    """
    tree = parse(source)
    if tree is None:
        return set()
    calls = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return set().union(*map(_bound, tree.body), *(effects.get(name, set()) for name in calls))


def used(source: str) -> set[str]:
    """The names that a cell takes from the cells before it: local names of its functions and its own are left out."""
    tree = parse(source)
    return _taken(tree.body, set()) if tree else set()


def _taken(statements: list[ast.stmt], defined: set[str]) -> set[str]:
    """Names that statements use before they define them; ``defined`` grows by what they surely define."""
    taken: set[str] = set()
    for node in statements:
        match node:
            case ast.For():
                taken |= _referenced(node.iter) - defined
                taken |= _taken(node.body + node.orelse, defined | _targets(node.target))
                defined |= _targets(node.target)
            case ast.With():
                for item in node.items:
                    taken |= _referenced(item.context_expr) - defined
                    defined |= _targets(item.optional_vars) if item.optional_vars else set()
                taken |= _taken(node.body, defined)
            case ast.If() | ast.While():
                taken |= _referenced(node.test) - defined
                taken |= _taken(node.body, set(defined)) | _taken(node.orelse, set(defined))
            case _:
                taken |= _referenced(node) - defined
                plain = not isinstance(node, ast.Try | ast.Expr | ast.AugAssign)
                defined |= _bound(node) if plain else set()
    return taken


def _referenced(node: ast.AST) -> set[str]:
    """Global names that a statement or an expression refers to, also inside of its functions."""
    tables = [symtable.symtable(ast.unparse(node), "cell", "exec")]
    names = {symbol.get_name() for symbol in tables[0].get_symbols() if symbol.is_referenced()}
    changed = {name for inner in ast.walk(node) for name in _changed(inner)}
    while tables:
        tables = [child for table in tables for child in table.get_children()]
        names |= {
            s.get_name()
            for table in tables
            for s in table.get_symbols()
            if s.is_global() and s.is_referenced()
        }
    return names | (changed if isinstance(node, ast.Assign | ast.AugAssign) else set())


def _changed(node: ast.AST) -> set[str]:
    """A name of which a part is assigned to: ``x[i] = ...`` needs ``x``."""
    part = isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store)
    return _targets(node) if part else set()


def needed(sources: list[str], roots: Iterable[int]) -> list[int]:
    """The cells ``roots`` and all earlier ones that they depend on, in order."""
    effects = _effects(sources)
    chosen: set[int] = set()
    wanted: set[str] = set()
    roots = set(roots)
    for index in range(max(roots, default=-1), -1, -1):
        if index in roots or bound(sources[index], effects) & wanted:
            chosen.add(index)
            wanted |= used(sources[index])
    return sorted(chosen)


def _effects(sources: list[str]) -> dict[str, set[str]]:
    """For each function of the notebook, the names outside of it that it changes: ``results[key] = ...``."""
    effects = {}
    for tree in filter(None, map(parse, sources)):
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            nodes = [node for statement in function.body for node in ast.walk(statement)]
            own = {
                node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            own |= {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
            changed = set().union(*(_bound(node) for node in nodes if isinstance(node, ast.stmt)))
            effects[function.name] = changed - own
    return effects


def claims_hash(notebook: NotebookNode) -> str:
    """A hash of the code that the claims depend on; comments, formatting, figures and the claims' words do not count."""
    sources = code(notebook)
    roots = [index for index, source in enumerate(sources) if _records(source)]
    dumps = [ast.dump(_without_words(parse(sources[index]))) for index in needed(sources, roots)]
    return hashlib.sha256("\n".join(dumps).encode()).hexdigest()[:16]


def _records(source: str) -> bool:
    tree = parse(source)
    return tree is not None and any(_is_record(node) for node in ast.walk(tree))


def _is_record(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "claims"
        and node.func.attr in RECORDING
    )


class _Words(ast.NodeTransformer):
    """Takes out what only the reader of the page sees: words of claims and cards, sentences, tables and figures."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func
        on = (
            function.value.id
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
            else ""
        )
        if on == "lab" and function.attr in ("Card", "say", "table"):
            return ast.Constant(None)
        if on == "lab" and function.attr == "Protocol":
            node.keywords = [word for word in node.keywords if word.arg in ("margin", "also")]
        if _is_record(node):
            node.args = node.args[:1]  # the name
            node.keywords = [
                word for word in node.keywords if word.arg not in ("paper", "why", "band", "main")
            ]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        self.generic_visit(node)
        return None if isinstance(node.value, ast.Constant) else node

    def visit_With(self, node: ast.With) -> ast.AST:
        drawing = any("figure" in ast.dump(item.context_expr) for item in node.items)
        return ast.Pass() if drawing else self.generic_visit(node)


def _without_words(tree: ast.Module) -> ast.Module:
    return _Words().visit(tree)


def _bound(node: ast.AST) -> set[str]:
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.Import() | ast.ImportFrom():
            return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        case ast.Assign() | ast.AugAssign() | ast.AnnAssign():
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            return set().union(*map(_targets, targets)) | _walrus(node)
        case ast.For():
            return _targets(node.target).union(*map(_bound, node.body + node.orelse))
        case ast.With():
            names = (_targets(item.optional_vars) for item in node.items if item.optional_vars)
            return set().union(*names, *map(_bound, node.body))
        case ast.If() | ast.While():
            return set().union(*map(_bound, node.body + node.orelse))
        case ast.Try():
            handlers = [statement for handler in node.handlers for statement in handler.body]
            return set().union(*map(_bound, node.body + handlers + node.orelse + node.finalbody))
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner))):
            return _targets(owner) - {"lab", "claims", "card", "np", "torch", "protocol"}
    return set()


def _targets(node: ast.AST) -> set[str]:
    match node:
        case ast.Name():
            return {node.id}
        case ast.Tuple() | ast.List():
            return set().union(*map(_targets, node.elts))
        case ast.Starred() | ast.Subscript() | ast.Attribute():
            return _targets(node.value)
    return set()


def _walrus(node: ast.AST) -> set[str]:
    return {inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)}
