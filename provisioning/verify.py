"""Reads a running deployment and says whether it runs and whether people can use it. Changes nothing.

It speaks HTTP through provisioning.asking; Docker is read through live.LiveReader.
"""

from __future__ import annotations

import http
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from provisioning.asking import TIMEOUT_S, Answer, request
from provisioning.live import LiveReader, LiveService
from provisioning.probe import Patience, probe
from provisioning.verdict import Check, CheckState, Line, Verdict, verdict_of
from sprocket_v2.errors import SprocketError, VerifyError

PATIENCE_S = 20.0
FOREIGN_ORIGIN = "https://not-of-this-league.example"
SEALED = 2  # exit code of `bao status`


def verify(
    blueprint: Mapping[str, Any],
    lock: Mapping[str, Any],
    reader: LiveReader,
    *,
    beat: Callable[[], None] = lambda: None,
    address: str = "127.0.0.1",
    patience_s: float = PATIENCE_S,
) -> Verdict:
    """Look at everything the blueprint promises.

    Args:
        blueprint: blueprint.json as data.
        lock: blueprint.lock.json as data.
        beat: called between checks, so that a caller can renew its lease.
        address: where the entry ports are, without name resolution; Host headers carry the public names.
        patience_s: how long, all in all, to ask again where a route is not there yet.
    Raises:
        VerifyError: Docker cannot be read at all.
    """
    deployment = Deployment(blueprint, lock, reader, address, patience_s)
    checks: list[Check] = []
    for check in deployment.checks():
        checks.append(check)
        beat()
    return verdict_of(checks)


class Deployment:
    """The running deployment of one bundle, and one method per group of checks."""

    def __init__(self, blueprint: Mapping[str, Any], lock: Mapping[str, Any], reader: LiveReader, address: str, patience_s: float) -> None:
        self.blueprint, self.lock, self.reader, self.address = blueprint, lock, reader, address
        self.slug = str(blueprint["organization"]["slug"])
        self.way = blueprint["access"]["canonical"]
        self.roles = {
            str(role): part for part in blueprint["components"] for role in (part["role"] or part["name"], *part.get("plays", ()))
        }
        if "generation" not in blueprint["verify"]:
            raise VerifyError(
                "this blueprint says nothing about its applications' generation",
                hint="an older release made it: make a new blueprint and apply that",
            )
        self.generation = blueprint["verify"]["generation"]
        self.components = {str(part["name"]): part for part in blueprint["components"]}
        self._patience = Patience(patience_s)
        try:
            self.services = {service.name: service for service in reader.live_services(self.slug)}
        except SprocketError as error:
            raise VerifyError(error.message, hint=error.hint, where=error.where, transient=error.transient) from error

    def checks(self) -> Iterator[Check]:
        """All checks, in the order a person wants to read them."""
        yield from self._service_checks()
        yield self._images()
        yield from self._edge()
        if "web" in self.roles:
            yield from self._web()
        if "api" in self.roles:
            yield from self._api()
        yield from probe(self.blueprint, self.address, self._patience)
        if "web" in self.roles and "api" in self.roles:
            yield self._web_reaches_api()  # after the probe, which waits for certificates that are still being issued
        if "bot" in self.roles:
            yield self._bot()
        if "secret-server" in self.roles:
            yield self._secret_server()
        yield from self._data_is_closed()
        yield from self._usable()

    # Services and images

    def _service_checks(self) -> Iterator[Check]:
        for component in self.blueprint["components"]:
            for name in component["services"]:
                state, detail = service_state(self.services.get(name))
                hint = "" if state == "ok" else f"look at its log: docker service logs --tail 50 {name}"
                yield Check(f"service/{name}", f"{component['title']}: {name}", state, detail, hint)

    def _images(self) -> Check:
        title = "Images are the locked ones"
        wrong, known = [], 0
        for component in self.blueprint["components"]:
            for name in component["services"]:
                key = name.removeprefix(f"{self.blueprint['organization']['slug']}_")
                locked = self.lock["images"].get(key) or self.lock["images"].get(component["name"], {})
                service = self.services.get(name)
                known += 1 if locked.get("local_id") or str(locked.get("digest", "")).startswith("sha256:") else 0
                if service and not runs_image(service, locked):
                    wrong.append(name)
        if wrong:
            hint = "apply the blueprint again; a new build needs a new blueprint"
            return Check("images", title, "failed", f"another image runs in {', '.join(wrong)}", hint)
        if not known:
            return Check("images", title, "skipped", "no image is locked to an id or digest")
        return Check("images", title, "ok", "image ids are as locked")

    # Routes

    def _edge(self) -> Iterator[Check]:
        """Where the entry ports are shared, every route below is asked for through the host's edge, which has them."""
        shared = self.blueprint["access"].get("shared")
        proxy = self.services.get(str(shared["proxy"])) if shared else None
        if not shared or proxy is None:
            return
        title, ports = "The host's edge has the entry ports", ", ".join(str(port) for port in sorted({n["port"] for n in shared["names"]}))
        if proxy.published_ports:
            detail = "this deployment publishes them itself, as it may where no edge is"
            yield Check("route/edge", title, "warning", detail, "apply the blueprint again to share them")
        elif str(shared["network"]) not in proxy.networks:
            yield Check("route/edge", title, "failed", f"Traefik is not in {shared['network']}", "apply the blueprint again")
        else:
            yield Check("route/edge", title, "ok", f"port {ports}; the routes below are asked for through it")

    def _web(self) -> Iterator[Check]:
        host, port = str(self.way["web_host" if "web_host" in self.way else "host"]), self._port("web")
        site = self.generation["site"]
        path, marker = str(site["page"]), str(site["marker"])
        if site["redirects"]:
            first = self._ask("GET", host, port, "/", good=lambda a: a.status == http.HTTPStatus.FOUND)
            location = urlsplit(first.headers.get("location", "")).path
            good = first.status == http.HTTPStatus.FOUND and location == path
            yield self._route("web/redirect", "The site sends visitors to sign in", good, f"{first.says()} to {location or 'nowhere'}")
        page = self._ask("GET", host, port, path, good=lambda a: a.status == http.HTTPStatus.OK and marker in a.body)
        good = page.status == http.HTTPStatus.OK and marker in page.body
        told = f" {'with' if marker in page.body else 'without'} “{marker}”" if marker else ""
        yield self._route("web/sign-in", "The page visitors land on is there", good, f"{page.says()}{told}")

    def _api(self) -> Iterator[Check]:
        host, port, origin = str(self.way["api_host"]), self._port("api"), str(self.way["web_origin"])
        api = self.generation["api"]
        path, bare_status = str(api["graphql"]), int(api["bare_query_status"])
        health = self._ask("GET", host, port, str(api["health"]), good=lambda a: a.status == http.HTTPStatus.OK)
        yield self._route("api/health", "The API says it is well", _json(health).get("status") == "ok", health.says())
        typed = self._ask("POST", host, port, path, body={"query": "{ __typename }"}, headers={"Origin": origin})
        name = (_json(typed).get("data") or {}).get("__typename")
        yield self._route("api/graphql", "The API answers a GraphQL query", name == "Query", f"{typed.says()}, type {name or 'none'}")
        if bare_status:
            bare = self._ask("GET", host, port, path)
            yield self._route("api/bad-query", "A request without a query is refused", bare.status == bare_status, bare.says())
        if api["checks_origin"]:
            yield self._preflight(host, port, origin, is_ours=True)
            yield self._preflight(host, port, FOREIGN_ORIGIN, is_ours=False)

    def _preflight(self, host: str, port: int, origin: str, *, is_ours: bool) -> Check:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        answer = self._ask("OPTIONS", host, port, str(self.generation["api"]["graphql"]), headers=headers)
        allowed = answer.headers.get("access-control-allow-origin", "")
        if is_ours:
            good = answer.status == http.HTTPStatus.NO_CONTENT and allowed == origin
            return self._route("api/cors-own", "The site's origin may call the API", good, f"{answer.says()}, allows {allowed or 'nobody'}")
        good = bool(answer.status) and allowed not in {origin, "*"}
        return self._route("api/cors-foreign", "A foreign origin may not", good, f"{answer.says()}, allows {allowed or 'nobody'}")

    def _route(self, name: str, title: str, good: bool, detail: str) -> Check:
        hint = "" if good else f"docker service logs --tail 50 {self.slug}_traefik, then the log of the component behind it"
        if hint and self.blueprint["access"].get("shared"):
            hint += "; the platform's admin sees the edge before it with `sprocket edge show`"
        return Check(f"route/{name}", title, "ok" if good else "failed", detail, hint)

    def _port(self, side: str) -> int:
        return int(self.way.get(f"{side}_port") or self.way["port"])

    def _ask(
        self,
        method: str,
        host: str,
        port: int,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        good: Callable[[Answer], bool] = lambda answer: answer.status not in {0, 404, 502, 503, 504},
    ) -> Answer:
        """One request through the way in; asked again while the answer is not good and patience lasts."""
        while True:
            answer = request(self.address, port, method, host, path, body=body, headers=headers or {}, tls=bool(self.way.get("tls")))
            if good(answer) or not self._patience.lasts():
                return answer

    # Between the parts

    def _web_reaches_api(self) -> Check:
        title, site = "The site's own calls reach the API", self.generation["site"]
        asked, container = str(site["asks"]), self._container(self.roles["web"])
        if not container:
            return Check("inside/web-api", title, "skipped", "no copy of the site runs")
        is_stand_in = self.blueprint.get("images") == "stand-in"
        # A stand-in knows one form of script only; its own page makes the call to the API, as it is set up to.
        url = f"http://127.0.0.1:{site['port']}/__standin/api" if is_stand_in else asked
        command = [str(word).replace("{url}", url).replace("{scheme}", url.partition(":")[0]) for word in site["ask"]]
        code, _ = self.reader.run_in(container, command, timeout_s=TIMEOUT_S)
        good, detail = code == 0, f"{'reached' if code == 0 else 'did not reach'} {asked} from inside"
        hint = "" if good else f"{asked} has to be reached from inside the edge network too: check its aliases"
        return Check("inside/web-api", title, "ok" if good else "failed", detail, hint)

    def _bot(self) -> Check:
        title = "The bot"
        name = str(self.roles["bot"]["services"][0])
        if name not in self.services or not self.services[name].running:
            return Check("bot", title, "skipped", "the bot does not run")
        lines = self.reader.last_lines(name, 400)
        skipped = next((line for line in reversed(lines) if "skipped login" in line.lower()), "")
        if skipped:
            return Check("bot", title, "ok", "signs in nowhere: its token is a placeholder, or it is a stand-in")
        if any("not attempted" in line.lower() for line in lines):
            return Check("bot", title, "ok", "is a stand-in, which never contacts Discord")
        if any(word in line.lower() for line in lines for word in ("logged in", "connected", "ready")):
            return Check("bot", title, "ok", "connected to Discord")
        return Check(
            "bot", title, "warning", "runs, but its log does not say that it is connected", f"docker service logs --tail 50 {name}"
        )

    def _secret_server(self) -> Check:
        name, title = str(self.roles["secret-server"]["services"][0]), "The secret server can be used"
        container = self._container(self.roles["secret-server"])
        if not container:
            return Check("secret-server", title, "skipped", "the secret server does not run")
        command = ["bao", "status", "-address=http://127.0.0.1:8200", "-format=json"]
        code, output = self.reader.run_in(container, command, timeout_s=TIMEOUT_S)
        return seal_check(name, "bao", code, output)

    def _data_is_closed(self) -> Iterator[Check]:
        for component in ("postgres", "redis"):
            if component not in self.components:
                continue
            service = self.services.get(f"{self.slug}_{component}")
            if service is None:
                continue
            yield self._closed(component, service)
            yield self._asks_for_password(component, service)

    def _closed(self, component: str, service: LiveService) -> Check:
        title = f"{self.components[component]['title']} is reachable from inside only"
        data = f"{self.slug}_data"
        beyond = [name for name in service.networks if name != data]
        if service.published_ports or beyond:
            ports = ", ".join(str(port) for port in service.published_ports)
            detail = f"published on port {ports}" if ports else f"also in the network {', '.join(beyond)}"
            return Check(f"closed/{component}", title, "failed", detail, "somebody changed the service by hand: apply the blueprint again")
        return Check(f"closed/{component}", title, "ok", f"no published port, and only in {data}")

    def _asks_for_password(self, component: str, service: LiveService) -> Check:
        title = f"{self.components[component]['title']} asks for a password"
        if not service.running:
            return Check(f"password/{component}", title, "skipped", "it does not run")
        if component == "redis":
            command, refused = ["redis-cli", "ping"], "NOAUTH"
        else:
            user, name = self._database()
            command, refused = ["psql", "-X", "-w", "-h", "postgres", "-U", user, "-d", name, "-c", "select 1"], "password"
        _, output = self.reader.run_in(service.running[0].container, command, timeout_s=TIMEOUT_S)
        good = refused in output
        hint = "" if good else "the data volume was made without one: restore a backup into a new volume"
        detail = "refuses without one" if good else "let us in without one"
        return Check(f"password/{component}", title, "ok" if good else "failed", detail, hint)

    # Usable

    def _usable(self) -> Iterator[Check]:
        facts = self.blueprint["verify"]["database"]
        if facts["where"] != "deployment":
            detail = f"the database {facts.get('host', '')} is outside; what it holds was not looked at"
            yield Check("usable/database", "The database's content", "skipped", detail, "sign in once to be sure", "usable")
            return
        service = self.services.get(f"{self.slug}_postgres")
        if service is None or not service.running:
            yield Check("usable/database", "The database's content", "skipped", "the database does not run", "", "usable")
            return
        yield from self._content(service.running[0].container)

    def _content(self, container: str) -> Iterator[Check]:
        tables = self.generation["tables"]
        organization, everybody = str(tables["organization"]), [str(table) for table in tables["people"]]
        if not organization:
            yield _usable_check("sign-in", "Somebody can sign in", True, "", "")
            return
        all_tables = [organization, *everybody]
        there = self._count(container, {table: f"to_regclass('{table}') is not null" for table in all_tables})
        no_data = "no starting data" if self.blueprint["verify"].get("starting_data") == "empty" else "the starting data did not bring it"
        hint = "give the organization starting data: a schema file or a backup"
        yield _usable_check("schema", "The league's tables", there[organization] == "t", no_data, hint)
        present = {table: f"count(*) from {table}" for table in all_tables if there[table] == "t"}
        counts = {table: int(text or 0) for table, text in self._count(container, present).items()}
        missing = no_data if there[organization] != "t" else "no organization in the table"
        yield _usable_check("organization", "The league is in it", counts.get(organization, 0) > 0, missing, hint)
        people = sum(counts.get(table, 0) for table in everybody)
        hint = f"the API lets in only people it knows: a row in {' or '.join(everybody)}"
        missing = no_data if there[organization] != "t" else "nobody can sign in, no player and no user is known"
        yield _usable_check("sign-in", "Somebody can sign in", people > 0, missing, hint)

    def _count(self, container: str, questions: Mapping[str, str]) -> dict[str, str]:
        """One read-only query per question, all in one call."""
        user, name = self._database()
        sql = [part for question in questions.values() for part in ("-c", f"select {question}")]
        command = ["psql", "-X", "-q", "-tA", "-U", user, "-d", name, "-c", "set default_transaction_read_only = on", *sql]
        code, output = self.reader.run_in(container, command, timeout_s=TIMEOUT_S) if questions else (0, "")
        lines = output.split() if code == 0 else []
        return dict(zip(questions, [*lines, *[""] * len(questions)], strict=False))

    def _database(self) -> tuple[str, str]:
        facts = self.blueprint["verify"]["database"]
        return str(facts["user"]), str(facts["name"])

    def _container(self, component: Mapping[str, Any]) -> str:
        service = self.services.get(str(component["services"][0]))
        return service.running[0].container if service and service.running else ""


def seal_check(service: str, program: str, code: int, output: str) -> Check:
    """What a secret server's own `status` says. Docker calls a sealed one healthy: it runs. That nobody can use it yet is said here."""
    name, title = "secret-server", "The secret server can be used"
    if code == 0:
        return Check(name, title, "ok", "it is unsealed")
    if code != SEALED:
        return Check(name, title, "failed", "the secret server does not answer", f"docker service logs --tail 50 {service}")
    if '"initialized": true' in output:
        hint = f"those who hold the keys run `{program} operator unseal` in its container; so it is after each restart"
        return Check(name, title, "warning", "the secret server is sealed: nothing in it can be read", hint)
    hint = f"run `{program} operator init` in its container once, and give the keys to two people"
    return Check(name, title, "warning", "the secret server waits to be initialised: nothing can be kept in it yet", hint)


def service_state(service: LiveService | None) -> tuple[CheckState, str]:
    if service is None:
        return "failed", "is not there"
    if service.is_job:
        newest = service.tasks[0] if service.tasks else None
        if newest is None:
            return "failed", "never ran"
        done = newest.state == "complete" and newest.exit_code in {0, None}
        return ("ok", "finished") if done else ("failed", f"{newest.state} {newest.error}".strip())
    running = service.running
    sick = [task for task in running if task.health not in {"", "healthy"}]
    detail = f"{len(running)} of {service.wanted} running"
    if not service.wanted:
        return "failed", "somebody scaled it to nothing"
    if len(running) != service.wanted:
        error = next((task.error for task in service.tasks if task.error), "")
        return "failed", f"{detail}; {error}" if error else detail
    if sick:
        return "failed", f"{detail}, {len(sick)} {sick[0].health}"
    return "ok", detail + (", healthy" if running and running[0].health else "")


def runs_image(service: LiveService, locked: Mapping[str, Any]) -> bool:
    """Whether what runs is what the lock says: by id for a local image, by digest for a pinned one."""
    local_id, digest = str(locked.get("local_id", "")), str(locked.get("digest", ""))
    if local_id:
        return all(task.image_id in {"", local_id} for task in service.running)
    return digest in service.image if digest.startswith("sha256:") else True


def _usable_check(name: str, title: str, good: bool, missing: str, hint: str) -> Check:
    line: Line = "usable"
    return Check(f"usable/{name}", title, "ok" if good else "warning", "" if good else missing, "" if good else hint, line)


def _json(answer: Answer) -> dict[str, Any]:
    try:
        data = json.loads(answer.body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
