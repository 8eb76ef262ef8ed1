"""Verify of a bundle of several stacks, whose services are as somebody else once made them; and the way in for a bundle of any kind.

Nothing is known of such applications but what their files say: how many of each, which image, and the routers of their labels. Changes nothing.
"""

from __future__ import annotations

import http
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

from blueprints.checks.routers import Router
from blueprints.checks.services import family_of, image_name
from blueprints.checks.subjects import subject_of_rendering
from blueprints.compose import ServiceArgs
from blueprints.layers import Layer, layers_of
from blueprints.rendering import Rendering
from provisioning.asking import TIMEOUT_S, Answer, request
from provisioning.entrances import entry_points
from provisioning.live import LiveReader, LiveService, adopted_of
from provisioning.probe import Patience
from provisioning.verdict import Check, CheckState, Verdict, verdict_of
from provisioning.verify import PATIENCE_S, runs_image, seal_check, service_state, verify
from provisioning.virtual_ips import virtual_ip_warning
from sprocket_v2.errors import SprocketError, VerifyError

BROKER_TIMEOUT_S = 30.0
_NOBODY = -1  # stands for the exit code where no container runs
_NO_PROGRAM = (126, 127)  # what a container answers when there is no such program in it
_NOBODY_BEHIND = (http.HTTPStatus.BAD_GATEWAY, http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.GATEWAY_TIMEOUT)
_NO_ROUTE = "404 page not found"  # Traefik's own words


def verify_bundle(
    rendering: Rendering,
    reader: LiveReader,
    *,
    beat: Callable[[], None] = lambda: None,
    address: str = "127.0.0.1",
    patience_s: float = PATIENCE_S,
) -> Verdict:
    """Look at everything a bundle promises; arguments as of `verify`.

    Raises:
        VerifyError: Docker cannot be read at all.
    """
    if len(rendering.stacks) == 1 and not rendering.stacks[0][0]:
        return verify(rendering.blueprint, rendering.lock, reader, beat=beat, address=address, patience_s=patience_s)
    checks: list[Check] = []
    for check in Estate(rendering, reader, address, patience_s).checks():
        checks.append(check)
        beat()
    return verdict_of(checks)


class Estate:
    """The running estate of one bundle, and one method per group of checks."""

    def __init__(self, rendering: Rendering, reader: LiveReader, address: str, patience_s: float) -> None:
        self.rendering, self.reader, self.address = rendering, reader, address
        self.slug = str(rendering.blueprint["organization"]["slug"])
        self.layers = layers_of(rendering)
        self._patience = Patience(patience_s)
        try:
            self.live = {service.name: service for service in reader.live_services(self.slug, adopted_of(rendering.files))}
        except SprocketError as error:
            raise VerifyError(error.message, hint=error.hint, where=error.where, transient=error.transient) from error

    def checks(self) -> Iterator[Check]:
        """All checks, in the order a person wants to read them."""
        for layer in self.layers:
            yield from self._services(layer)
        yield self._images()
        warning = virtual_ip_warning(self.rendering)
        if warning:
            yield Check("virtual-ips", "Services find each other", "warning", warning.partition(". ")[0], warning.partition(". ")[2])
        yield from self._inside()
        routes = list(self._routes())
        yield from routes
        yield _usable(routes)

    def _all(self) -> Iterator[tuple[Layer, str, ServiceArgs]]:
        for layer in self.layers:
            for key, args in layer.stack.services.items():
                yield layer, key, args

    def _services(self, layer: Layer) -> Iterator[Check]:
        for args in layer.stack.services.values():
            state, detail = standing(args, self.live.get(args.name))
            hint = "" if state == "ok" else f"look at its log: docker service logs --tail 50 {args.name}"
            yield Check(f"service/{args.name}", f"{layer.name}: {args.name}", state, detail, hint)

    def _images(self) -> Check:
        title, images = "Images are the locked ones", self.rendering.lock["images"]
        locked = {args.name: images.get(key) or images.get(layer.stack.notes[key].component, {}) for layer, key, args in self._all()}
        known = [name for name, image in locked.items() if image.get("local_id") or str(image.get("digest", "")).startswith("sha256:")]
        wrong = [name for name, image in locked.items() if name in self.live and not runs_image(self.live[name], image)]
        if wrong:
            return Check("images", title, "failed", f"another image runs in {', '.join(wrong)}", "apply the blueprint again")
        if not known:
            return Check("images", title, "skipped", "no image is locked to an id or digest")
        return Check("images", title, "ok", f"{len(known)} of {len(locked)} images are locked, and as locked")

    # Inside

    def _inside(self) -> Iterator[Check]:
        for _, _, args in self._all():
            family = family_of(args.image)
            if family == "vault":
                program = "bao" if image_name(args.image).endswith("openbao") else "vault"
                command = [program, "status", "-address=http://127.0.0.1:8200", "-format=json"]
                code, output = self._asked_inside(args, command, TIMEOUT_S)
                yield _without(args, "secret-server", program, code) or seal_check(args.name, program, code, output)
            elif family == "rabbitmq":
                code, _ = self._asked_inside(args, ["rabbitmq-diagnostics", "-q", "ping"], BROKER_TIMEOUT_S)
                yield _without(args, "broker", "rabbitmq-diagnostics", code) or _broker(args, code)

    def _asked_inside(self, args: ServiceArgs, command: list[str], timeout_s: float) -> tuple[int, str]:
        """Exit code and output of a command in the service's container."""
        live = self.live.get(args.name)
        if live is None or not live.running:
            return _NOBODY, ""
        try:
            return self.reader.run_in(live.running[0].container, command, timeout_s=timeout_s)
        except SprocketError as error:
            return (_NO_PROGRAM[1], "") if "executable file not found" in error.message else (1, error.message)

    # Routes

    def _routes(self) -> Iterator[Check]:
        subject = subject_of_rendering(self.rendering)
        routers = [router for router in subject.routers if router.is_label]
        proxy = next((service for service in subject.services if service.family == "traefik"), None)
        if routers and proxy is None:
            yield Check("routes", "Routes", "skipped", f"{len(routers)} routers, and no Traefik in the bundle that has them")
        elif proxy is not None:
            entries = entry_points(proxy)
            for router in routers:
                yield self._route(router, entries, proxy.name)

    def _route(self, router: Router, entries: dict[str, int], proxy: str) -> Check:
        name, title = f"route/{router.name}", f"{router.name} leads to {router.owner}"
        wanted = [word.lower() for word in router.entrypoints] or sorted(entries)
        ports = sorted({entries[word] for word in wanted if word in entries})
        if not ports:
            listed = ", ".join(wanted) or "none is named"
            return Check(name, title, "skipped", f"no port of this machine is known for its entry points ({listed})")
        if router.protocol != "http":
            return _opened(name, title, self.address, ports[0])
        if not router.hosts:
            return Check(name, title, "skipped", f"its rule names no host: {router.rule or 'it has none'}")
        found = [self._asked(host, port, router.rule, tls=router.tls) for host in router.hosts for port in ports]
        state = _worst([state for state, _ in found])
        words = "; ".join(dict.fromkeys(word for _, word in found))
        hint = "" if state == "ok" else f"docker service logs --tail 50 {proxy}, then of {router.owner}"
        return Check(name, title, state, words, hint)

    def _asked(self, host: str, port: int, rule: str, *, tls: bool) -> tuple[CheckState, str]:
        """One request through the entry port; asked again while patience lasts and nobody answers."""
        while True:
            answer = request(self.address, port, "GET", host, path_in(rule), body=None, headers={}, tls=tls)
            state, words = judged(answer)
            if state == "ok" or not self._patience.lasts():
                return state, f"{host} {words}"


def standing(args: ServiceArgs, live: LiveService | None) -> tuple[CheckState, str]:
    """How a service stands against what its file says. Pure."""
    if live is None:
        return service_state(None)
    if args.mode == "global":
        count = len(live.running)
        return ("ok", f"{count} running, one on each node") if count else ("failed", "runs on no node")
    if not args.replicas and not live.wanted:
        return "ok", "none wanted, as the file says"
    runs_once = args.is_job or args.restart == "none"
    return service_state(replace(live, is_job=True) if runs_once and not live.running else live)


def path_in(rule: str) -> str:
    """The path a rule asks for; the root where it names none."""
    found = rule.partition("PathPrefix(")[2] or rule.partition("Path(")[2]
    path = found.partition(")")[0].strip(" `\"'").partition("`")[0]
    return path if path.startswith("/") else "/"


def judged(answer: Answer) -> tuple[CheckState, str]:
    """What an answer says about a route: anything of the application's own below 500 is an answer. Pure."""
    if not answer.status:
        return "failed", f"gives no answer ({answer.body})"
    if answer.status in _NOBODY_BEHIND:
        return "failed", f"answers {answer.status}: Traefik is there, and nothing answers behind it"
    if answer.status == http.HTTPStatus.NOT_FOUND and answer.body.strip() == _NO_ROUTE:
        return "failed", "answers 404 in Traefik's own words: it does not know this router"
    if answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return "warning", f"answers {answer.status}: it is reached, and not well"
    return "ok", f"answers {answer.status}"


def _opened(name: str, title: str, address: str, port: int) -> Check:
    """Not HTTP: whether the entry port takes a connection is all that can be seen from here."""
    try:
        with socket.create_connection((address, port), timeout=TIMEOUT_S):
            return Check(name, title, "ok", f"port {port} takes connections")
    except OSError as error:
        return Check(name, title, "failed", f"port {port}: {error.strerror or type(error).__name__}", "is Traefik running?")


def _without(args: ServiceArgs, name: str, program: str, code: int) -> Check | None:
    """That a service could not be asked, which is no fault of its own."""
    if code == _NOBODY:
        return Check(name, f"{args.name} is well", "skipped", f"{args.name} does not run")
    if code in _NO_PROGRAM:
        return Check(name, f"{args.name} is well", "skipped", f"its image has no `{program}` to be asked with: it is a stand-in")
    return None


def _broker(args: ServiceArgs, code: int) -> Check:
    state: CheckState = "ok" if code == 0 else "failed"
    hint = "" if code == 0 else f"docker service logs --tail 50 {args.name}"
    return Check("broker", f"{args.name} is well", state, "answers its own ping" if code == 0 else "does not answer its own ping", hint)


def _usable(routes: list[Check]) -> Check:
    """The verdict's second line: of an estate's applications nothing is known but whether people reach them."""
    asked = [check for check in routes if check.state != "skipped"]
    good = [check for check in asked if check.state == "ok"]
    title = "People reach it"
    if not asked:
        return Check("usable/routes", title, "skipped", "no route is known that could be asked", line="usable")
    detail = f"{len(good)} of {len(asked)} routes answer"
    return Check("usable/routes", title, "ok" if len(good) == len(asked) else "warning", detail, line="usable")


def _worst(states: list[CheckState]) -> CheckState:
    order: tuple[CheckState, ...] = ("failed", "warning", "ok")
    return next(state for state in order if state in states)
