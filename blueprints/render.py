"""Resolution -> Rendering: path -> text, with a digest. Reads templates, writes nothing. The only importer of jinja2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from blueprints import context, marks, parse_back
from blueprints.catalog import LOCAL, Catalog
from blueprints.layered import Layered
from blueprints.local_lines import marked_local, with_environment
from blueprints.names import docker_name
from blueprints.quoting import FILTERS, Quoted, emitted, kind_of, refuse_bare
from blueprints.rendering import LOCK, MANIFEST, SECRETS, STACK, Rendering, json_text
from blueprints.resolve import Resolution, ResolvedComponent
from blueprints.routes import routes
from blueprints.secret_files import takes_lines
from blueprints.shared import NETWORK as ENTRY
from blueprints.shared import subnet_of, with_edge_routers
from blueprints.summary import blueprint_data, lock_data, secrets_data
from sprocket_v2.errors import RenderError

MAX_FILE = 1024 * 1024
_HEADERS = {"data": "# {}\n", "toml": "# {}\n", "plain": "# {}\n", "markdown": "<!-- {} -->\n", "html": ""}
_LINES = re.compile("[^\n]*\n|[^\n]+")
BUNDLE_FILES = ("RUNBOOK.md", "fill.sh", "deploy.sh")
HOLDS = (("restore", "hold-restore.yml"), ("jobs", "hold-jobs.yml"), ("apps", "hold-apps.yml"))
OWN_PORTS = "own-ports.yml"


def render(resolution: Resolution, catalog: Catalog) -> Rendering:
    """Render every file of a resolution.

    Args:
        resolution: components in start order; memory in MiB, durations in seconds.
        catalog: of the release that made the resolution.
    Returns:
        Rendering: relative POSIX path -> text (UTF-8, ends in one newline), and its SHA-256 digest. Same input, same bytes.
    Raises:
        RenderError: a template asks for a value that was not resolved, prints one bare, or its output, parsed back, is not
            what was resolved; `where` names the template and line.
    """
    if resolution.profile.has_layers:
        return _layered(resolution, catalog).render()
    return _Renderer(resolution, catalog.root, catalog.config_files).render()


def _layered(resolution: Resolution, catalog: Catalog, traced: str = "") -> Layered:
    emitted.take()  # what an earlier pass that failed may have left
    return Layered(resolution, catalog, partial(_checked_file, catalog.root, traced), traced)


def render_part(root: Path, template: str, path: str, kind: str, values: Mapping[str, Any]) -> str:
    """One file that somebody else puts together: with its header, quoted values, parsed back where its kind can be."""
    emitted.take()
    return _checked_file(root, "", template, path, kind, values)


def _checked_file(root: Path, traced: str, template: str, path: str, kind: str, values: Mapping[str, Any]) -> str:
    """One file, or a part of one, with its header, parsed back where its kind can be; the traced one comes out with marks."""
    text = _text(root, template, kind, values, path == traced)
    whole = _with_header(text, kind, path, f"templates/{template}")
    written = emitted.take()
    if kind in ("data", "compose", "toml") and path != traced:
        parse_back.check_data(whole, written, path, f"templates/{template}")
    return whole


def _with_header(text: str, kind: str, path: str, shown: str) -> str:
    if kind == "shell":
        return f"#!/bin/sh\n# {shown}\n{text}"
    return text if path.endswith(".json") else _HEADERS["data" if kind == "compose" else kind].format(shown) + text


def render_component(resolution: Resolution, catalog: Catalog, name: str) -> dict[str, str]:
    """One component's part of a rendering, for golden cases: its services as `stack.yml`, and its config files."""
    component = resolution.component(name)
    if component is None:
        raise RenderError(f"{name} is not in this deployment", where=name)
    if resolution.profile.has_layers:
        return _layered(resolution, catalog).component_files(component)
    renderer = _Renderer(resolution, catalog.root, catalog.config_files)
    files = renderer.configs(component)
    return {"stack.yml": renderer.fragment(component), **files}


def render_file(root: Path, template: str, path: str, kind: str, values: Mapping[str, Any]) -> str:
    """One file that belongs to no organization's bundle, by the same rules: quoted values, parsed back.

    Args:
        values: with `services`, `networks`, ... when the file is a stack.yml, which is then compared with them.
    """
    emitted.take()
    text = f"# templates/{template}\n{_text(root, template, kind, values)}"
    if path == STACK:
        parse_back.check_stack(text, emitted.take(), values)
    else:
        parse_back.check_data(text, emitted.take(), path, f"templates/{template}")
    return text


def render_marked(resolution: Resolution, catalog: Catalog, path: str) -> str:
    """One file of a rendering with the marks of blueprints.marks, for tracing; a file without template has none.

    It is not parsed back: `render` does that. Raises RenderError as `render` does, and where there is no such file.
    """
    if resolution.profile.has_layers:
        files = _layered(resolution, catalog, path).render().files
    else:
        files = _Renderer(resolution, catalog.root, catalog.config_files, traced=path).render().files
    if path not in files:
        raise RenderError(f"no file is called {path!r}", hint=f"one of {', '.join(sorted(files))}", where=path)
    return files[path]


class _Renderer:
    """One render pass; holds what the files share. The file at `traced` comes out with marks, every other as always."""

    def __init__(self, resolution: Resolution, root: Path, config_files: Mapping[str, tuple[str, ...]], traced: str = "") -> None:
        self.resolution = resolution
        self.root = root
        self.config_files = config_files
        self.traced = traced
        self.templates: dict[str, str] = {}
        emitted.take()  # what an earlier pass that failed may have left
        facts = context.facts(resolution)
        self.routes = routes(resolution)
        self.shared = {
            **facts,
            "routers": with_edge_routers(context.routers(resolution, self.routes), facts["shared"]),
            "routed": context.routed(resolution),
            "entry_ports": context.entry_ports(resolution),
        }

    def render(self) -> Rendering:
        files: dict[str, str] = {}
        fragments, configs, contexts = [], {}, []
        for component in self.resolution.components:
            own = self.configs(component)
            files.update(own)
            configs[component.name] = _by_file(component.name, own)
            contexts.append(context.component_context(self.resolution, component, configs[component.name], self.shared))
            fragments.append(self.fragment(component, contexts[-1]))
        services = [service for item in contexts for service in item["services"].values()]
        whole = {**self.shared, **self._objects(configs, services), "services": services}
        files[STACK] = self.stack(fragments, whole)
        overlays = [name for _, name in HOLDS] + [OWN_PORTS] * self.shared["shared"]["on"]
        for name in overlays:
            files[name] = self.file(f"bundle/{name}.j2", name, "compose", whole)
        files[SECRETS] = json_text(secrets_data(self.resolution))
        told = {**whole, "secrets": self.secret_facts()}
        for name in BUNDLE_FILES:
            files[name] = self.file(f"bundle/{name}.j2", name, kind_of(name), told)
        files[LOCK] = json_text(lock_data(self.resolution))
        files[MANIFEST] = json_text(blueprint_data(self.resolution, self.routes, files, self.templates))
        return Rendering(files)

    def configs(self, component: ResolvedComponent) -> dict[str, str]:
        """The component's config files by bundle path; those no service of this deployment mounts are left out."""
        mounted = {file for service in component.services for file in service.configs}
        files = {}
        values = {**self.shared, "component": component.name, "inputs": dict(component.inputs)}
        for template in self.config_files.get(component.name, ()):
            file = template.removesuffix(".j2")
            if file in mounted:
                path = f"config/{component.name}/{file}"
                files[path] = self.file(f"components/{component.name}/config/{template}", path, kind_of(file), values)
        if "starting-data.sql" in mounted and self.resolution.starting_data:
            files[f"config/{component.name}/starting-data.sql"] = self.resolution.starting_data.rstrip("\n") + "\n"
        missing = mounted - {path.removeprefix(f"config/{component.name}/") for path in files} if mounted else ()
        if missing:
            raise RenderError(f"no template for config {sorted(missing)[0]!r}", hint="add it under config/", where=component.manifest.path)
        return files

    def fragment(self, component: ResolvedComponent, values: Mapping[str, Any] | None = None) -> str:
        """The component's services as text, ready to stand under `services:`."""
        if values is None:
            configs = _by_file(component.name, self.configs(component))
            values = context.component_context(self.resolution, component, configs, self.shared)
        is_local = component.name == LOCAL
        template = f"components/{'_local' if is_local else component.name}/stack.yml.j2"
        text = _text(self.root, template, "compose", values, self.traced == STACK)
        for key, additions in context.added_environment(self.resolution, component).items():
            lines = _text(self.root, "components/_local/environment.yml.j2", "compose", {"additions": additions}, self.traced == STACK)
            text = with_environment(text, f'"{key}"', lines)
        return f"  # templates/{template}\n{marked_local(text) if is_local else text}"

    def stack(self, fragments: list[str], values: Mapping[str, Any]) -> str:
        """stack.yml, parsed back and compared with what was resolved."""
        text = _text(self.root, "bundle/stack.yml.j2", "compose", values, self.traced == STACK)
        head, _, tail = text.partition("  # services stand here\n")
        whole = f"# templates/bundle/stack.yml.j2\n{head}{''.join(fragments)}{tail}"
        self.templates[STACK] = "templates/bundle/stack.yml.j2"
        if self.traced != STACK:
            parse_back.check_stack(whole, emitted.take(), values)
        return whole

    def file(self, template: str, path: str, kind: str, values: Mapping[str, Any]) -> str:
        """One file of its own template, checked by its kind."""
        kept = emitted.take()  # of the stack, which is put together around this file
        whole = _checked_file(self.root, self.traced, template, path, kind, values)
        emitted.values = kept
        self.templates[path] = f"templates/{template}"
        return whole

    def _objects(self, configs: Mapping[str, dict[str, str]], services: list[dict[str, Any]]) -> dict[str, Any]:
        """Networks, volumes, configs and secrets that the services use."""
        slug = self.resolution.needs.slug
        volumes = dict.fromkeys(v["source"] for service in services for v in service["volumes"])  # two services may share one
        networks = sorted({network["key"] for service in services for network in service["networks"]})
        return {
            "networks": [
                {"key": key, "name": docker_name(slug, key), "internal": key in ("data", ENTRY),
                 "subnet": subnet_of(self.resolution.needs) if key == ENTRY else "",
                 "labels": context.labels(slug, "networks", f"network/{key}")} for key in networks
            ],
            "volumes": [
                {"key": key, "name": docker_name(slug, *key.split("_", 1)),
                 "labels": context.labels(slug, key.split("_", 1)[0], f"volume/{key}")} for key in volumes
            ],
            "configs": [
                {"key": key, "name": context.config_name(slug, component, file, text), "file": f"./config/{component}/{file}",
                 "labels": context.labels(slug, component, f"config/{key}")}
                for component, own in configs.items() for file, text in own.items() for key in (context.config_key(component, file),)
            ],
            "secrets": [
                {"key": name, "name": context.secret_name(slug, secret), "file": f"./secrets/{name}",
                 "labels": context.labels(slug, secret.component, f"secret/{name}")}
                for name, secret in self.resolution.secrets.items()
            ],
        }  # fmt: skip

    def secret_facts(self) -> list[dict[str, Any]]:
        """What the runbook and fill.sh say about each secret."""
        return [
            {"name": name, "title": s.manifest.title, "why": s.manifest.why, "kind": s.kind, "length": s.manifest.length,
             "lines": takes_lines(s.manifest.pattern) and s.kind == "supplied",
             "where_to_get": s.manifest.where_to_get, "placeholder": s.manifest.placeholder,
             "swarm_name": context.secret_name(self.resolution.needs.slug, s), "consumers": list(s.consumers)}
            for name, s in self.resolution.secrets.items()
        ]  # fmt: skip


def _by_file(component: str, files: Mapping[str, str]) -> dict[str, str]:
    prefix = f"config/{component}/"
    return {path.removeprefix(prefix): text for path, text in files.items()}


def _text(root: Path, template: str, kind: str, values: Mapping[str, Any], marking: bool = False) -> str:
    try:
        text = _template(root, template, kind, marking).render(values)
    except jinja2.UndefinedError as error:
        raise RenderError(f"not resolved: {error.message}", hint="resolve it, or correct the template", where=_line(template)) from None
    except jinja2.TemplateSyntaxError as error:
        name = (error.filename or f"/templates/{template}").rpartition("/templates/")[2]
        where = f"templates/{name}:{error.lineno}"
        raise RenderError(f"template: {error.message}", hint="correct the template", where=where) from None
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise RenderError(f"template: {error}", hint="correct the template", where=_line(template)) from None
    except RenderError as error:
        error.where = error.where or _line(template)
        raise
    plain = marks.unmarked(text) if marking else text
    if len(plain) > MAX_FILE:
        raise RenderError(f"{len(plain) // 1024} KiB of output", hint=f"the most is {MAX_FILE // 1024} KiB", where=f"templates/{template}")
    return text if plain.endswith("\n") else text + "\n"


def _line(template: str) -> str:
    """`templates/<file>:<line>` of the innermost template frame of the error in hand."""
    import sys

    where = f"templates/{template}"
    frame = sys.exc_info()[2]
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        if "/templates/" in name and name.endswith(".j2"):
            where = f"templates/{name.rpartition('/templates/')[2]}:{frame.tb_lineno}"
        frame = frame.tb_next
    return where


class _Printing(CodeGenerator):
    """Compiles `{{ }}` into one call, the check that a filter wrote the value; the library would copy each text twice more."""

    def _output_child_pre(self, node: Any, frame: Any, finalize: Any) -> None:  # noqa: ANN401 - the library's types
        self.write("environment.finalize(")

    def _output_child_post(self, node: Any, frame: Any, finalize: Any) -> None:  # noqa: ANN401 - the library's types
        self.write(")")


class _Environment(ImmutableSandboxedEnvironment):
    """Templates that see plain data only: a dot reads a key, and what a macro printed counts as written."""

    code_generator_class = _Printing

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - any template value
        if type(obj) is dict:
            try:
                return obj[attribute]
            except KeyError:
                pass
        return super().getattr(obj, attribute)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any template value
        if type(obj) is Macro:
            return Quoted(context.call(obj, *args, **kwargs))
        return super().call(context, obj, *args, **kwargs)


class _Marking(_Printing):
    """Compiles a template so that what it prints says where it was printed; only an environment for tracing uses it."""

    def visit_Template(self, node: nodes.Template, frame: Any = None) -> None:  # noqa: ANN401, N802 - the library's name and type
        for output in node.find_all(nodes.Output):
            output.nodes = [new for child in output.nodes for new in self._marked(child)]
        for choice in list(node.find_all(nodes.If)):
            for branch in (choice.body, choice.else_):
                _enclose(branch, choice.test)
        for loop in list(node.find_all(nodes.For)):
            _enclose(loop.body, loop.iter)
            if isinstance(loop.target, nodes.Name):
                item = nodes.Filter(nodes.Name(loop.target.name, "load"), "mark_item", [], [], None, None, lineno=loop.lineno)
                loop.body.insert(1, nodes.Output([item], lineno=loop.lineno))
        node.set_environment(self.environment)
        super().visit_Template(node, frame)

    def _marked(self, child: nodes.Expr) -> list[nodes.Expr]:
        place = partial(marks.place, self.name or "")
        if isinstance(child, nodes.TemplateData):
            lines = _LINES.findall(child.data)
            return [_data("".join(place(child.lineno + i) + line for i, line in enumerate(lines)), child.lineno)]
        first = min(node.lineno for node in (child, *child.find_all(nodes.Expr)))  # a filter's own line is its last
        return [_data(place(first, _names(child)), first), child]


def _enclose(body: list[nodes.Node], cause: nodes.Node) -> None:
    """Mark where a block begins and ends; a branch that is not there stays so."""
    if body:
        body.insert(0, nodes.Output([_data(marks.enter(_names(cause)), cause.lineno)], lineno=cause.lineno))
        body.append(nodes.Output([_data(marks.LEAVE, cause.lineno)], lineno=cause.lineno))


def _data(text: str, line: int) -> nodes.Expr:
    return nodes.TemplateData(text, lineno=line)


def _names(expression: nodes.Node) -> list[str]:
    """The dotted names an expression mentions, each with what it begins with: `inputs`, `inputs.memory_mib`."""
    parts = nodes.Tuple([expression], "load").find_all((nodes.Name, nodes.Getattr, nodes.Getitem))
    return list(dict.fromkeys(filter(None, map(_dotted, parts))))


def _dotted(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{_dotted(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{_dotted(node.node)}.{node.arg.value}"
    return ""


@lru_cache(maxsize=1024)  # the library would look whether it has changed, each time
def _template(root: Path, template: str, kind: str, marking: bool) -> jinja2.Template:
    return _environment(root, kind, marking).get_template(template)


@lru_cache(maxsize=32)
def _environment(root: Path, kind: str, marking: bool = False) -> jinja2.Environment:
    """The environment of a file kind; templates are compiled once per process.

    Sandboxed, every filter of the library removed: they are not made for files of this kind.
    """
    environment = _Environment(
        loader=jinja2.FileSystemLoader(root),
        undefined=jinja2.StrictUndefined,
        finalize=refuse_bare,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.filters.clear()
    environment.filters.update(FILTERS[kind])
    environment.globals.clear()
    if marking:
        environment.code_generator_class = _Marking
        environment.filters["mark_item"] = lambda item: Quoted(marks.item(item))
    return environment
