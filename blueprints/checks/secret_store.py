"""Rules about a secret store: open after a restart, keys that fit, tokens that live: incidents 2, 4, 5, 6, 23 and 24. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from blueprints.checks.facts import Vault
from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject
from blueprints.checks.order import needs_of
from blueprints.checks.services import Service, of_family

WARN_BEFORE_S = 7 * 86400.0
OPEN_WITHIN_S = 120.0
_NONE = NotApplicable("no secret store was asked")


def store_opens_by_itself(subject: Subject) -> Answer:
    """Where others cannot start without it, a restarted secret store unseals without a person."""
    stores = of_family(subject.services, "vault")
    if not stores:
        return NotApplicable("it has no secret store")
    needs = needs_of(subject)
    feeds = bool(subject.estate.of("vault")) or any(item.facts.get("vault") for item in subject.estate.of("secret"))
    found = []
    for store in stores:
        waiting = sorted(name for name, needed in needs.items() if store.name in needed)
        if (waiting or feeds) and not _unseals(store):
            whom = ", ".join(waiting) or "the deployment's own secrets"
            found.append(Found(store.name, f"is sealed after every restart, and {whom} cannot be had without it"))
    return tuple(found)


def _unseals(store: Service) -> bool:
    texts = [config.text or "" for config in store.configs]
    mounts = [mount.target for mount in store.args.mounts]
    return any('seal "' in text or "operator unseal" in text for text in texts) or any("unseal" in word for word in (*mounts, store.words))


def store_is_open(subject: Subject) -> Answer:
    """What runs is unsealed, and was soon so after the restart that was tried."""
    assert subject.running is not None  # noqa: S101 - the registry asks only with it
    if not subject.running.stores:
        return NotApplicable("no secret store runs")
    found = []
    for store in subject.running.stores:
        if not store.is_initialized:
            found.append(Found(store.service, "was never initialised: nothing can be kept in it"))
        elif store.is_sealed:
            found.append(Found(store.service, "is sealed" + (" after its restart" if store.restarted_s is not None else "")))
        elif store.restarted_s is not None and store.restarted_s > OPEN_WITHIN_S:
            found.append(Found(store.service, f"was open again {store.restarted_s:.0f} s after its restart"))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Start:
    """What starting a secret store means: open it, initialise it, or nothing; and why to stop where it must not be touched."""

    action: str
    stop: str = ""


def start_of(*, is_initialized: bool, is_sealed: bool, has_keys: bool) -> Start:
    """The whole truth table of a start; the two rows that once lost keys are told apart."""
    if is_initialized and is_sealed:
        if has_keys:
            return Start("unseal")
        return Start(
            "stop", "it is initialised and sealed, and its keys are not where they are kept: do not initialise it anew, find the keys"
        )
    if is_initialized:
        return (
            Start("none")
            if has_keys
            else Start("stop", "it is open, but its keys are not where they are kept: after a restart nobody can open it")
        )
    if not is_sealed:
        return Start("stop", "it says that it is open and was never initialised: this is not the store you mean")
    if has_keys:
        return Start(
            "stop", "it was never initialised, and there are keys: they are another store's, and initialising would overwrite them"
        )
    return Start("initialise")


def keys_fit(subject: Subject) -> Answer:
    """Initialised, sealed, keys: no combination in which starting would lose something."""
    vault = _vault(subject)
    if vault is None or not vault.answers:
        return _NONE
    start = start_of(is_initialized=vault.is_initialized, is_sealed=vault.is_sealed, has_keys=vault.has_keys)
    return (Found(vault.address, start.stop),) if start.stop else ()


def token_is_good(subject: Subject) -> Answer:
    """The store answers, at an address others can use, and takes the token for something."""
    vault = _vault(subject)
    if vault is None:
        return _NONE
    found = []
    if "//localhost" in vault.address or "//127." in vault.address or vault.address.startswith(("localhost", "127.")):
        found.append(Found(vault.address, "is this machine's own address: inside a container it is the container"))
    if not vault.answers:
        return (*found, Found(vault.address, "does not answer"))
    if vault.is_sealed:
        found.append(Found(vault.address, "is sealed"))
    if vault.policies is None:
        found.append(Found(vault.address, "does not take the token"))
    elif not vault.policies:
        found.append(Found(vault.address, "takes the token, which may do nothing"))
    return tuple(found)


def tokens_live(subject: Subject) -> Answer:
    """No stored token ends within a week, unless something renews it."""
    vault = _vault(subject)
    if vault is None or not vault.tokens:
        return NotApplicable("no stored token is known")
    return tuple(
        Found(token.name, "has ended" if token.life_s <= 0 else f"ends in {token.life_s / 86400:.0f} days, and nothing renews it")
        for token in vault.tokens
        if token.life_s is not None and token.life_s < WARN_BEFORE_S and not (token.is_renewed and token.life_s > 0)
    )


def _vault(subject: Subject) -> Vault | None:
    assert subject.target is not None  # noqa: S101 - the registry asks only with it
    return subject.target.vault


def read_paths_are_written(subject: Subject) -> Answer:
    """Somebody writes every path and field of the secret store that something reads."""
    paths = subject.estate.of("vault")
    reading = {str(item.facts["vault"]): item.name for item in subject.estate.of("secret") if item.facts.get("vault")}
    readers = {item.name: _named(item.facts.get("read_by")) for item in paths if item.facts.get("read_by")}
    if not reading and not readers:
        return NotApplicable("nothing is read from a secret store")
    written = {item.name: tuple(item.facts.get("fields") or ()) for item in paths if _named(item.facts.get("written_by"))}
    found = [
        Found(path, f"is read for {secret}, and nothing writes it")
        for path, secret in reading.items()
        if path.partition("#")[0] not in written
    ]
    for path, by in readers.items():
        if path not in written:
            found.append(Found(path, f"is read by {', '.join(by)}, and nothing writes it"))
    for path, secret in reading.items():
        base, _, wanted = path.partition("#")
        if wanted and base in written and written[base] and wanted not in written[base]:
            found.append(Found(base, f"has no field {wanted}, which {secret} is made from"))
    return tuple(found)


def _named(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(str(part) for part in value) if isinstance(value, (list, tuple)) else ()


def paths_are_there(subject: Subject) -> Answer:
    """Every path that is read is in the store, with its field, before anything is deployed."""
    vault = _vault(subject)
    if vault is None or vault.paths is None:
        return NotApplicable("the secret store's paths were not read")
    wanted = [str(item.facts["vault"]) for item in subject.estate.of("secret") if item.facts.get("vault")]
    wanted += [item.name for item in subject.estate.of("vault") if item.facts.get("read_by")]
    found = []
    for path in dict.fromkeys(wanted):
        base, _, field = path.partition("#")
        if base not in vault.paths:
            found.append(Found(base, "is not there"))
        elif field and field not in vault.paths[base]:
            found.append(Found(base, f"has no field {field}"))
    return tuple(found)


def one_writer_for_a_path(subject: Subject) -> Answer:
    """A path with two writers holds what the last one wrote."""
    paths = subject.estate.of("vault")
    if not paths:
        return NotApplicable("it writes nothing into a secret store")
    writers: dict[str, list[str]] = {}
    for item in paths:
        writers.setdefault(item.name, []).extend(_named(item.facts.get("written_by")) or (str(item.origin),))
    return tuple(Found(path, f"is written by {' and by '.join(by)}") for path, by in writers.items() if len(by) > 1)


RULES = (
    Rule("I02-opens-by-itself", "block", "lint", "A secret store that others wait for opens by itself after a restart.",
         "Give it a seal of its own (an auto-unseal stanza), or let nothing read from it while it starts.", store_opens_by_itself),
    Rule("I02-open-after-restart", "block", "probe", "The secret store is open, also after it was restarted.",
         "Unseal it now (`bao operator unseal`), then see to it that a restart needs no person.", store_is_open, "running"),
    Rule("I04-keys-fit", "block", "preflight", "The secret store, its seal and its keys belong together.",
         "Stop. Find the keys that belong to this store before anything starts it or initialises it.", keys_fit, "target"),
    Rule("I05-token-is-good", "block", "preflight", "The secret store answers, and takes the token that will be used.",
         "Correct the address, start or unseal the store, or give a token whose policy fits.", token_is_good, "target"),
    Rule("I06-token-lives", "warning", "preflight", "No stored token ends within a week.",
         "Make a new token, or one with a period and something that renews it.", tokens_live, "target"),
    Rule("I23-path-is-written", "block", "lint", "Every path of the secret store that is read is written, with the field that is wanted.",
         "Write to the path that is read, or read from the one that is written; one of the two names is old.", read_paths_are_written),
    Rule("I23-path-is-there", "block", "preflight", "Every path that is read is in the secret store.",
         "Write it, with all its fields, before anything is deployed.", paths_are_there, "target"),
    Rule("I24-one-writer", "block", "lint", "Every path of the secret store has one writer.",
         "Give each writer a path of its own.", one_writer_for_a_path),
)  # fmt: skip
