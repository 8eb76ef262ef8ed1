"""What looks secret in somebody else's files: by its name, by its shape. Finds and says why; never repeats a value. Pure.

One rule for every source, so that an export, a Compose file, a live service and the provider withhold the same values alike.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from blueprints.compose import ServiceArgs
from blueprints.estate.model import WITHHELD

MAX_LINE = 64 * 1024  # characters of one line that are looked at; a longer one is looked at in pieces
_OVERLAP = 512  # so that a token on the border of two pieces is seen whole

# What a value is by its form alone, wherever it stands: what it is, signs of which one is always in it (lower case), and the form.
# The order is the order of the answers; the most telling comes first.
_SHAPES: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (kind, tuple(signs.split()), re.compile(pattern))
    for kind, signs, pattern in (
        ("a private key", "-----begin", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
        ("a Discord webhook", "/webhooks/", r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{5,}/[\w-]{20,}"),
        ("a Discord bot token", "m n o", r"(?<![\w.-])[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}(?![\w-])"),
        ("a GitHub token", "gh github_pat_", r"(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{22,})"),
        ("a Vault token", "hvs. hvb. hvr. s.", r"(?<![\w.-])(?:hv[sbr]\.[\w-]{20,}|s\.[A-Za-z0-9]{24}(?!\w))"),
        ("an access key id", "akia asia do00 do801", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|DO00|DO801)[A-Z0-9]{14,16}(?![A-Za-z0-9])"),
        ("a DigitalOcean token", "_v1_", r"(?<!\w)do[opr]_v1_[0-9a-f]{40,}"),
        ("a Docker Hub token", "dckr_", r"(?<!\w)dckr_(?:pat|oat)_[\w-]{20,}"),
        ("a Doppler token", "dp.", r"(?<![\w.])dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{40,}"),
        ("a Pulumi token", "pul-", r"(?<!\w)pul-[0-9a-f]{40}(?!\w)"),
        ("a SendGrid key", "sg.", r"(?<!\w)SG\.[\w-]{16,}\.[\w-]{30,}"),
        ("a Google client secret", "gocspx-", r"(?<!\w)GOCSPX-[\w-]{20,}"),
        ("a Slack token", "xox", r"(?<!\w)xox[abeprs]-[\w-]{10,}"),
        ("a signed token (JWT)", "eyj", r"(?<![\w.-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
        ("a hashed password", "$", r"\$(?:apr1|2[abxy]|argon2id?|[156])\$\S{8,}"),
        (
            "an address with a password",
            "://",
            r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,30}://[^\s/:@'\"<>]{0,200}:(?![$<{%])[^\s/:@'\"<>]{1,400}@[^\s'\"/]",
        ),
    )
)
_STRONG = frozenset("password passwd pwd passphrase secret requirepass masterauth connstring".split())
_MACHINE_MADE = frozenset({"token", "apikey"})  # nobody chooses these, so a plain word under such a name is a kind or a place
_KEYS = frozenset(
    "api_key access_key private_key secret_key hmac_key signing_key encryption_key root_key unseal_key shared_key auth_key master_key "
    "connection_string account_key client_key jwt_key".split()
)
_WEAK = frozenset("key auth pass pw salt credentials credential signature cookie dsn".split())
# A name that ends in one of these speaks about a secret and is none itself.
_ABOUT = frozenset(
    "file path dir folder name url uri endpoint host ttl length size type kind policy enabled required timeout expiry expires id ids "
    "version source target mode user username provider store manager count limit period lease header field mount engine server store".split()
)
_PLAIN = re.compile(
    r"(?i)\A(?:true|false|null|none|nil|yes|no|on|off|default|disabled|enabled|required|optional|basic|bearer|plain|md5|scram-sha-256"
    r"|\d{1,6}|\d+(?:\.\d+)?(?:ms|s|m|h|d)|\*+|x{3,}|\.{3})\Z"
)
# Something else is put there: a variable, a command's output, a template's place, a call.
_REFERENCE = re.compile(
    r"\A(?:.*\$[({].*|\$\w+(?:\{.*)?|@\w+@|@\{.*|\{\{.*|<[^<>]*>|%\w+%|%s|[\w.:]+\(.*|\[secret\]|vault:.+|env[:.].+)\Z", re.DOTALL
)
_WORD = re.compile(r"\A[A-Za-z][a-z_-]{0,15}\Z")
_PATH = re.compile(r"\A(?:file:)?(?:[A-Za-z]:\\|\.{0,2}/)[^\s]*\Z")
_HARMLESS = re.compile(
    r"(?i)\A(?:sha(?:1|256|512)[:-].*|[a-z][a-z0-9+.-]*://[^\s]*|[\w.-]+(?:/[\w.-]+)+(?::[\w.-]+)?|[\d.,: -]+)\Z", re.DOTALL
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PAIR = re.compile(
    r"""(?<![\w.-])(?P<q>["']?)(?P<name>-{0,2}[A-Za-z_][\w.-]{0,200})(?P=q)\s*(?::=|=>|[:=])\s*"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;}{\]\["'#][^\s,;}\]]*)?"""
)
_FLAG = re.compile(r"""(?<![\w-])["']?(?P<name>--?[A-Za-z][\w-]{2,80})["']?[\s,]+(?P<value>"[^"]*"|'[^']*'|[^\s,\]"'-][^\s,\]"']*)""")
_SETTING = re.compile(
    r"\A\s*(?P<name>[A-Za-z_][\w-]{2,80})\s+(?P<value>[^\s:={}]+)\s*\Z"
)  # `requirepass x`, as redis.conf and others write
_OWN_PAIR = re.compile(r"(?P<name>-{0,2}[A-Za-z_][\w-]*)=(?P<value>\S+)\Z")
# One of these is in every name that can make a value secret; a line without any needs no closer look.
_HOT = ("pass", "pwd", "pw", "secret", "token", "key", "auth", "conn", "salt", "cred", "sign", "cookie", "dsn")
_BLOCK = frozenset({"", "|", ">", "|-", ">-", "|+", ">+"})


@dataclass(frozen=True, slots=True)
class Found:
    """Something that looks secret in a text: its line, why, and the name it stands under where it has one. Never the value."""

    line: int
    kind: str
    name: str = ""


def why_secret(name: str, value: str) -> str:
    """Why a value looks secret, empty where it does not.

    Args:
        name: what the value is called: a variable, a key, a flag.
    """
    text = value.strip()
    if not text or text.startswith(WITHHELD):
        return ""
    shape = _shape(text)
    if shape:
        return f"looks like {shape}"
    text = text.lstrip("\\\"'")
    if _REFERENCE.match(text) or _PLAIN.match(text.rstrip(".,;")) or _PATH.match(text):
        return ""
    strength = _strength(name)
    if strength == "strong" or (strength == "made by a machine" and not _WORD.match(text)):
        return "its name says that it is secret"
    if strength == "weak" and (_is_random(text) or _is_login(name, text)):
        return "random, under a name that may be a secret's"
    return ""


def withheld(value: str, key: bytes) -> str:
    """What stands for a value that was taken out: its keyed fingerprint, which tells equal values and gives none away."""
    return WITHHELD + hmac.new(key, value.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()[:16]


def secret_words(words: Sequence[str]) -> dict[int, str]:
    """Which words of a command line look secret, and why: `--flag value`, `--flag=value`, and values by their shape."""
    return {index: why for index, (why, _) in _judged(words).items()}


def without_secrets(args: ServiceArgs, key: bytes) -> tuple[ServiceArgs, dict[str, str]]:
    """A service without the values that look secret, and field -> why for each that was taken out."""
    why: dict[str, str] = {}
    changed = replace(
        args,
        environment=_mapping("environment", args.environment, key, why),
        labels=_mapping("labels", args.labels, key, why),
        container_labels=_mapping("container_labels", args.container_labels, key, why),
        log_options=_mapping("log_options", args.log_options, key, why),
        entrypoint=_words("entrypoint", args.entrypoint, key, why),
        command=_words("command", args.command, key, why),
    )
    if args.healthcheck:
        changed = replace(changed, healthcheck=replace(args.healthcheck, test=_words("healthcheck", args.healthcheck.test, key, why)))
    return changed, why


def scan_text(text: str) -> tuple[Found, ...]:
    """What looks secret in a configuration file of any kind (JSON, YAML, TOML, INI, HCL, environment file, script), by line.

    It reads lines, not a format, so a broken file is scanned as well.
    """
    found: dict[tuple[int, str], Found] = {}
    waiting = ""  # a name whose value stands on the next line
    low = text.lower()
    hot = [word for word in _HOT if word in low]
    has_shape = _has_shape(text, low)
    if not hot and not has_shape:
        return ()
    for number, line in enumerate(text.splitlines(), 1):
        if waiting and line.strip():
            why = why_secret(waiting, _unquoted(line.strip().rstrip(",")))
            if why and not line.lstrip().startswith(("- ", "{", "[", "#")) and not _PAIR.match(line.strip()):
                found.setdefault((number, waiting), Found(number, why, waiting))
            waiting = ""
        low = line.lower()
        if not any(word in low for word in hot) and not (has_shape and _shape(line)):
            continue
        for piece in _pieces(line):
            for hit in _in_line(piece, number):
                found.setdefault((number, hit.name), hit)
        waiting = _hanging_name(line) or (waiting if not line.strip() else "")
    return tuple(sorted(found.values(), key=lambda hit: (hit.line, hit.name)))


def _in_line(line: str, number: int) -> Iterator[Found]:
    seen = False
    for match in (*_PAIR.finditer(line), *_FLAG.finditer(line), *_SETTING.finditer(line)):
        name, value = match["name"], _unquoted(match["value"] or "")
        if _is_comment(line, match.start()):
            continue
        why = why_secret(name, value)
        if why:
            seen = True
            yield Found(number, why, name)
    shape = "" if seen else _shape(line)
    if shape:
        yield Found(number, f"looks like {shape}")


def _is_comment(line: str, at: int) -> bool:
    """Stock files explain their settings in comments; only what has a secret's form counts there."""
    before = line[:at].lstrip()
    return before.startswith(("#", "//", ";")) or line.lstrip().startswith(("#", "//", ";"))


def _hanging_name(line: str) -> str:
    """The name at the end of a line whose value has to be on the next."""
    pairs = list(_PAIR.finditer(line))
    is_open = bool(pairs) and line.rstrip().endswith((":", "=", "|", ">", "|-", ">-")) and (pairs[-1]["value"] or "") in _BLOCK
    return pairs[-1]["name"] if is_open else ""


def _pieces(line: str) -> Iterator[str]:
    if len(line) <= MAX_LINE:
        yield line
        return
    for start in range(0, len(line), MAX_LINE - _OVERLAP):
        yield line[start : start + MAX_LINE]


def _mapping(field: str, values: Mapping[str, str], key: bytes, why: dict[str, str]) -> dict[str, str]:
    kept = dict(values)
    for name, value in values.items():
        reason = why_secret(name, value)
        if reason:
            why[f"{field}.{name}"] = reason
            kept[name] = withheld(value, key)
    return kept


def _words(field: str, words: tuple[str, ...], key: bytes, why: dict[str, str]) -> tuple[str, ...]:
    judged = _judged(words)
    why.update({f"{field}.{index}": reason for index, (reason, _) in judged.items()})
    starts = {index: start for index, (_, start) in judged.items()}
    return tuple(word[: starts[i]] + withheld(word[starts[i] :], key) if i in starts else word for i, word in enumerate(words))


def _judged(words: Sequence[str]) -> dict[int, tuple[str, int]]:
    """Index of each secret word -> why, and where in the word the secret begins: the flag of `--flag=value` stays readable."""
    found: dict[int, tuple[str, int]] = {}
    for index, word in enumerate(words):
        before = words[index - 1] if index else ""
        is_behind_flag = before.startswith("-") and "=" not in before and not word.startswith("-")
        if is_behind_flag and (why := why_secret(before, word)):
            found[index] = (why, 0)
        elif (pair := _OWN_PAIR.match(word)) and (why := why_secret(pair["name"], pair["value"])):
            found[index] = (why, pair.start("value"))
        elif shape := _shape(word):
            found[index] = (f"looks like {shape}", 0)
        elif len(word) > 40 and not word.startswith(WITHHELD) and (inside := scan_text(word)):  # a script given as one word
            found[index] = (f"holds a secret: {inside[0].kind}", 0)
    return found


def _shape(text: str) -> str:
    if len(text) < 9:  # the shortest of the forms
        return ""
    low = text.lower()
    return next((kind for kind, signs, form in _SHAPES if any(sign in low for sign in signs) and form.search(text)), "")


def _strength(name: str) -> str:
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _ABOUT or words[-1].removesuffix("s") in _ABOUT:
        return ""
    pairs = {f"{a}_{b}" for a, b in pairwise(words)}
    either = {*words, *(word.removesuffix("s") for word in words)}
    if either & _STRONG:
        return "strong"
    if either & _MACHINE_MADE or pairs & _KEYS:
        return "made by a machine"
    return "weak" if set(words[-1:]) & _WEAK else ""


def _has_shape(text: str, low: str) -> bool:
    return any(form.search(text) for _, signs, form in _SHAPES if any(sign in low for sign in signs))


def _is_random(text: str) -> bool:
    """Long, without spaces, mixed, and with as many different signs as chance brings: no word, number, address or path."""
    if len(text) < 16 or re.search(r"\s", text) or _PATH.match(text) or _HARMLESS.match(text):
        return False
    has_both = re.search(r"[A-Za-z]", text) and re.search(r"\d", text)
    return bool(has_both) and _bits_per_sign(text) >= 3.2


def _bits_per_sign(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _is_login(name: str, text: str) -> bool:
    """`NEO4J_AUTH=neo4j/<password>`, `user:password`."""
    return _WORDS.findall(name)[-1].lower() == "auth" and bool(re.fullmatch(r"[\w.-]+[/:][^\s/$]{4,}", text))


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
