"""Rules about secrets that lie open, are malformed or not there: incidents 13, 20 to 23, 36. Pure; no rule ever repeats a value."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject
from blueprints.estate.model import WITHHELD
from blueprints.estate.secrecy import scan_text, secret_words, why_secret

_LOCAL = "local-"  # a league's own, whose form only the league knows
# In a program a name says nothing: `password = read(...)`. Only what has a secret's own form counts there, and in prose.
_PROGRAMS = (
    ".py",
    ".ts",
    ".tsx",
    ".js",
    ".mjs",
    ".cjs",
    ".go",
    ".rs",
    ".java",
    ".kt",
    ".rb",
    ".php",
    ".c",
    ".h",
    ".cs",
    ".lua",
    ".css",
    ".html",
    ".j2",
    ".md",
    ".rst",
    ".sum",
)
MAX_OF_ONE_FILE = 5  # places told of one file; the rest is counted


def secrets_have_a_form(subject: Subject) -> Answer:
    """Every secret once, mounted once at each place, and one that people bring with a format it is checked by."""
    mounted = [service for service in subject.services if service.args.secrets]
    if not subject.secrets and not mounted:
        return NotApplicable("it has no secrets")
    found = [
        Found(name, "is brought by people, and nothing says what it looks like")
        for name, entry in subject.secrets.items()
        if entry.get("kind") == "supplied" and not entry.get("pattern") and not name.startswith(_LOCAL)
    ]
    for service in mounted:
        targets: dict[str, list[str]] = {}
        for secret in service.args.secrets:
            targets.setdefault(secret.target, []).append(secret.name)
        found += [Found(f"{service.name} {path}", f"is {' and '.join(names)} at once") for path, names in targets.items() if len(names) > 1]
    names = [item.name for item in subject.estate.of("secret") if not item.is_leaving]
    found += [Found(name, "is there more than once") for name in dict.fromkeys(names) if names.count(name) > 1]
    return tuple(found)


def values_are_well_formed(subject: Subject) -> Answer:
    """No value with a line break, too short, or of another alphabet than its kind has."""
    assert subject.records is not None  # noqa: S101 - the registry asks only with it
    if not subject.records.secret_problems:
        return NotApplicable("no secret has a value yet")
    return tuple(Found(name, problem) for name, problem in subject.records.secret_problems.items() if problem)


def _scanned(texts: Mapping[str, str], references: Collection[str] = ()) -> tuple[Found, ...]:
    """Places by file; what stands in quotes and is a reference's name is the reference."""
    found: list[Found] = []
    for path, text in texts.items():
        lines = text.splitlines()
        hits = [hit for hit in scan_text(text) if not any(f'"{name}"' in lines[hit.line - 1] for name in references)]
        if path.endswith(_PROGRAMS):
            hits = [hit for hit in hits if hit.kind.startswith("looks like")]
        found += [Found(f"{path}:{hit.line}", f"{hit.name}: {hit.kind}" if hit.name else hit.kind) for hit in hits[:MAX_OF_ONE_FILE]]
        if len(hits) > MAX_OF_ONE_FILE:
            found.append(Found(path, f"and {len(hits) - MAX_OF_ONE_FILE} more"))
    return tuple(found)


def files_hold_no_secret(subject: Subject) -> Answer:
    """Every file that is rendered, or lies in the folder."""
    return _scanned(subject.texts, subject.secrets) if subject.texts else NotApplicable("there are no files")


def history_holds_no_secret(subject: Subject) -> Answer:
    """What the repository once held: taking a file away takes nothing out of its history."""
    return _scanned(subject.history or {})


def settings_hold_no_secret(subject: Subject) -> Answer:
    """Environment, arguments, labels and mounted configs carry references, not values."""
    if not subject.services:
        return NotApplicable("no service is known")
    found: list[Found] = []
    for service in subject.services:
        args = service.args
        found += [Found(f"{service.name} {place}", why) for place, why in service.item.withheld.items()]
        for place, values in (("environment", args.environment), ("labels", args.labels), ("log_options", args.log_options)):
            found += [
                Found(f"{service.name} {place}.{key}", why)
                for key, value in values.items()
                if WITHHELD not in value and (why := why_secret(key, value))
            ]
        words = (*args.entrypoint, *args.command)
        found += [Found(f"{service.name} argument {index + 1}", why) for index, why in secret_words(words).items()]
    for item in subject.estate.of("config"):
        found += [Found(f"config {item.name}", why) for why in item.withheld.values()]
    return tuple(found)


def exports_hold_no_plaintext(subject: Subject) -> Answer:
    """A state that was exported with its secrets shown."""
    exported = [item for item in subject.estate.items if item.origin.source == "export"]
    remarks = [r for r in subject.estate.all_remarks() if r.rule in ("secret.plaintext", "secret.in-clear")]
    if not exported and not remarks:
        return NotApplicable("nothing of it was read from an export")
    return tuple(Found(remark.where, remark.message) for remark in remarks)


def references_lead_somewhere(subject: Subject) -> Answer:
    """Every secret that a service mounts has a reference, and every consumer named is a service."""
    if not subject.secrets:
        return NotApplicable("it has no secret references")
    known = {str(entry.get("swarm_name")) for entry in subject.secrets.values()}
    known |= {item.name for item in subject.estate.of("secret") if item.facts.get("reference")}
    services = {service.name for service in subject.services}
    found = [
        Found(f"{service.name} {secret.target}", f"mounts {secret.name}, which no reference fills")
        for service in subject.services
        for secret in service.args.secrets
        if secret.name not in known
    ]
    for name, entry in subject.secrets.items():
        found += [Found(name, f"is for {who}, which is not there") for who in entry.get("consumers", ()) if who not in services]
    return tuple(found)


def values_are_there(subject: Subject) -> Answer:
    """Somebody has set every secret, before anything is deployed."""
    assert subject.records is not None  # noqa: S101 - the registry asks only with it
    if not subject.secrets:
        return NotApplicable("it has no secret references")
    return tuple(Found(name, "nobody has set it") for name in subject.records.missing_secrets)


def masking_hides_a_canary(subject: Subject) -> Answer:
    """A made-up secret, given to the masking of a run in each of its forms."""
    assert subject.records is not None  # noqa: S101 - the registry asks only with it
    if subject.records.leaks is None:
        return NotApplicable("the masking was not tried")
    return tuple(Found("the masking of a run's output", f"lets a secret through in the form {form}") for form in subject.records.leaks)


RULES = (
    Rule("I13-secrets-have-a-form", "warning", "lint", "Every secret is there once, and what people bring has a format.",
         "Give it a pattern in the component's manifest; mount each secret at a path of its own.", secrets_have_a_form),
    Rule("I13-secret-values", "block", "preflight", "Every secret's value has the length and the signs of its kind.",
         "Set it again, copied whole and without the line break: `sprocket secret set ORG NAME`.", values_are_well_formed, "records"),
    Rule("I20-secret-in-file", "block", "secret scan", "No file holds a secret.",
         "Take it out, put a reference in its place, and rotate it: whoever had the file has it.", files_hold_no_secret, "texts"),
    Rule("I20-secret-in-settings", "block", "secret scan", "No service has a secret in its environment, arguments or labels.",
         "Make it a Docker secret that the program reads from a file, and rotate it: `docker inspect` shows it to everybody.",
         settings_hold_no_secret),
    Rule("I21-secret-in-history", "block", "secret scan", "No file of the repository ever held a secret.",
         "Rotate it now. Cleaning the history is not enough: it was copied with every clone.", history_holds_no_secret, "history"),
    Rule("I22-plaintext-export", "block", "secret scan", "No export holds secrets in clear.",
         "Rotate what is named, delete the file, and export without `--show-secrets`.", exports_hold_no_plaintext),
    Rule("I23-reference-leads-somewhere", "block", "lint", "Every mounted secret has a reference.",
         "Make the blueprint again; a reference of an older name is left in a file.", references_lead_somewhere),
    Rule("I23-value-is-there", "block", "preflight", "Every secret has a value before anything is deployed.",
         "`sprocket secret set ORG NAME`, or the Secrets page, which says where each comes from.", values_are_there, "records"),
    Rule("I36-masking", "block", "preflight", "What a run prints shows no secret, in none of the forms it may take.",
         "Do not apply anything until the masking is mended: logs and events are kept.", masking_hides_a_canary, "records"),
)  # fmt: skip
