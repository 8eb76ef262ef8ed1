"""The grammars every name and address has to obey, anchored at both ends. One home, so that form, file, API and import agree."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator

SLUG = re.compile(r"\A[a-z][a-z0-9-]{1,18}[a-z0-9]\Z")
_LABEL = re.compile(r"\A[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_EMAIL = re.compile(r"\A[A-Za-z0-9._%+-]{1,64}@[a-z0-9.-]{3,190}\Z")
_BUCKET = re.compile(r"\A[a-z0-9][a-z0-9-]{1,61}[a-z0-9]\Z")
_IDENTIFIER = re.compile(r"\A[a-z_][a-z0-9_]{0,62}\Z")
_FILE_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_COMMAND_PREFIX = re.compile(r"\A[a-z0-9!?.$%&+-]{1,8}\Z")
_PROFILE_NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,30}\Z")
_OPTION_NAME = re.compile(r"\A[a-z][a-z0-9_.-]{0,40}\Z")
_SHA256 = re.compile(r"\A[0-9a-f]{64}\Z")
_HTTPS_URL = re.compile(r"\Ahttps://(?P<host>[a-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[A-Za-z0-9._~-]+)*/?)\Z")
TAILNET = ipaddress.ip_network("100.64.0.0/10")
# What no certificate authority of the internet signs, and no name server of it answers (RFC 6761, 6762, 7686, 8375).
_NOT_PUBLIC = ("localhost", "local", "internal", "lan", "home.arpa", "onion", "invalid")
_ENVIRONMENT_NAME = re.compile(r"\A[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_IMAGE = re.compile(
    r"\A((?:[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[0-9]{1,5})?/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r":([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})(?:@(sha256:[0-9a-f]{64}))?\Z"
)
# Where an image of an organization's own may come from (rule 22). Docker's own registry is meant where a name has no host in front.
REGISTRIES = ("docker.io", "ghcr.io", "quay.io", "registry.gitlab.com", "gcr.io", "public.ecr.aws", "mcr.microsoft.com")
_SECRET_WORDS = frozenset("PASSWORD PASSWD PASSPHRASE PASS PWD PW TOKEN SECRET SECRETS CREDENTIAL CREDENTIALS APIKEY".split())
_LOGIN_IN_URL = re.compile(r"://[^/\s@]*:[^/\s@]+@")


def slug(value: str) -> str:
    """3 to 20 characters: a lower-case letter, then letters, digits or hyphens, not ending in a hyphen."""
    if not SLUG.match(value):
        raise ValueError(f"{shown(value)} is not a slug: 3 to 20 of a-z, 0-9 and -, starting with a letter, not ending with a hyphen")
    return value


def host_name(value: str) -> str:
    """A DNS name by the label rules of RFC 1123, lower case, at most 253 characters, no trailing dot."""
    if not _is_host_name(value):
        raise ValueError(f"{shown(value)} is not a host name: labels of a-z, 0-9 and -, joined by dots, such as league.example.org")
    return value


def _is_host_name(value: str) -> bool:
    labels = value.split(".")
    return len(value) <= 253 and all(_LABEL.match(label) for label in labels) and not labels[-1].isdigit()


def host_or_address(value: str) -> str:
    """A host name, or an IPv4 address."""
    if is_address(value):
        return value
    return host_name(value)


def is_address(value: str) -> bool:
    """Whether this is an IPv4 address in dotted form."""
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return False
    return True


def lan_host(value: str) -> str:
    """A name, or an IPv4 address that a local network may use."""
    if is_address(value):
        address = ipaddress.IPv4Address(value)
        if address in TAILNET:
            raise ValueError(f"{shown(value)} is an address of a tailnet: describe it under vpn")
        if not address.is_private or address.is_loopback or address.is_unspecified:
            raise ValueError(
                f"{shown(value)} is no address of a local network: use this machine's own, such as 192.168.1.20, or public with a domain"
            )
    return host_or_address(value)


def vpn_host(value: str) -> str:
    """A name, or an IPv4 address of a tailnet's range."""
    if is_address(value) and ipaddress.IPv4Address(value) not in TAILNET:
        raise ValueError(f"{shown(value)} is no address of a tailnet (100.64.0.0/10): use the one `tailscale ip -4` says, or lan")
    return host_or_address(value)


def public_domain(value: str) -> str:
    """A name that the internet's name servers and certificate authorities can know."""
    if not value:
        raise ValueError("missing, and a public way in needs one: give a registered domain, or choose lan or vpn, which take an address")
    if _is_ip(value):
        kind = "an address" if ipaddress.ip_address(value).is_global else "an address of a local network, which the internet cannot reach"
        raise ValueError(f"{shown(value)} is {kind}: give a registered domain, or describe the address under lan or vpn")
    host_name(value)
    if "." not in value or any(value.endswith(f".{name}") for name in _NOT_PUBLIC):
        raise ValueError(f"{shown(value)} is not public: use a registered domain, or another way in")
    return value


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def https_url(value: str) -> str:
    """An address that begins with https://, without user, query and fragment."""
    found = _HTTPS_URL.match(value)
    if not found or len(value) > 200 or ".." in value or int(found["port"] or 443) > 65535:
        raise ValueError(
            f"{shown(value)} is not such an address: write https://, a host, and a path, such as https://ca.example.org/acme/directory"
        )
    host_or_address(found["host"])
    return value


def email(value: str) -> str:
    """A plain mailbox such as Let's Encrypt takes for expiry notices."""
    if not _EMAIL.match(value) or not _is_host_name(value.rpartition("@")[2]):
        raise ValueError(f"{shown(value)} is not an e-mail address: write it as name@example.org, the domain in lower case")
    return value


def identifier(value: str) -> str:
    """An unquoted PostgreSQL identifier: a database or a role."""
    if not _IDENTIFIER.match(value):
        raise ValueError(f"{shown(value)} is not a plain database name: a-z, 0-9 and _, starting with a letter, at most 63")
    return value


def bucket_name(value: str) -> str:
    """An S3 bucket that is also a DNS label."""
    if not _BUCKET.match(value):
        raise ValueError(f"{shown(value)} is not a bucket name: a-z, 0-9 and -, 3 to 63, beginning and ending with a letter or digit")
    return value


def command_prefix(value: str) -> str:
    """What a bot command begins with, such as `s.` or `!`."""
    if not _COMMAND_PREFIX.match(value):
        raise ValueError(f"{shown(value)} is not a command prefix: 1 to 8 of a-z, 0-9 and !?.$%&+-")
    return value


def profile_name(value: str) -> str:
    """The name of a file in templates/profiles, without its ending."""
    if not _PROFILE_NAME.match(value):
        raise ValueError(f"{shown(value)} is not a profile's name: a-z, 0-9 and -, such as v2")
    return value


def file_name(value: str) -> str:
    """A file's own name, without folders."""
    if not _FILE_NAME.match(value):
        raise ValueError(f"{shown(value)} is not a plain file name: letters, digits, dot, hyphen and underscore, no folders")
    return value


def sha256(value: str) -> str:
    """64 lower-case hexadecimal digits."""
    if not _SHA256.match(value):
        raise ValueError(f"{shown(value)} is not a SHA-256 digest: 64 hexadecimal digits")
    return value


def option_name(value: str) -> str:
    """A component, or an input of one."""
    if not _OPTION_NAME.match(value):
        raise ValueError(f"{shown(value)} is no component's or input's name: a-z, 0-9, _, - and ., at most 41, starting with a letter")
    return value


def option_value(value: object) -> bool | int | str:
    """Text, a whole number or a yes or no, each as it was written: nothing is converted."""
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, str) and len(value) <= 200:
        return value
    given = value if isinstance(value, str) else repr(value)
    raise ValueError(f"{shown(given)} is no answer: write text of at most 200 characters, a whole number, or true or false")


def one_line(value: str) -> str:
    """Printable text on one line, without spaces around it."""
    if not value.isprintable():
        raise ValueError(f"{shown(value)} holds a line break or another control character: write it on one line")
    if value != value.strip():
        raise ValueError(f"{shown(value)} begins or ends with a space: remove it")
    return value


def environment_name(value: str) -> str:
    """The name of an environment value, which anybody who sees the container can read: never a secret's."""
    if not _ENVIRONMENT_NAME.match(value):
        raise ValueError(f"{shown(value)} is not an environment name: letters, digits and _, at most 64, not beginning with a digit")
    words = value.upper().split("_")
    names_a_key = words[-1] in ("KEY", "KEYS", "DSN") and "PUBLIC" not in words
    if (_SECRET_WORDS & set(words) or names_a_key) and words[-1] != "FILE":
        raise ValueError(
            f"{shown(value)} is the name of a secret, and a secret never stands in needs or environment: "
            "make it a secret of a service of your own, and name its file instead, as in X_FILE=/run/secrets/local-x"
        )
    if value.upper().startswith("LD_"):
        raise ValueError(f"{shown(value)} changes which code a program loads: remove it")
    return value


def environment_value(value: object) -> str:
    """One printable line of at most 500 characters, written as text: a number or a yes in YAML would be read in more than one way."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(repr(value))} is not text: write it in quotes")  # noqa: TRY004 - pydantic collects ValueErrors
    if len(value) > 500 or not value.isprintable():
        raise ValueError(f"{shown(value)} is not one printable line of at most 500 characters: shorten it, or remove the line break")
    if _LOGIN_IN_URL.search(value):
        raise ValueError("holds a user and password in an address: give host and user apart, and the password as a secret")
    return value


def image_reference(value: str) -> str:
    """An image of an allowed registry with a tag that names a version, and maybe a digest: `redis:7.0-bookworm`."""
    found = _IMAGE.match(value)
    if not found:
        raise ValueError(f"{shown(value)} is not an image with a tag: write name:tag, such as redis:7.0-bookworm, all in lower case")
    first, slash, _ = found[1].partition("/")
    registry = first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
    if registry not in REGISTRIES:
        raise ValueError(f"{shown(value)} comes from {registry}, which is not allowed: take it from one of {', '.join(REGISTRIES)}")
    if found[2] == "latest":
        raise ValueError(f"{shown(value)} goes by latest, which is another image every day: name a version")
    return value


def image_parts(reference: str) -> tuple[str, str, str]:
    """Name, tag and digest (or empty) of an image reference of the grammar."""
    found = _IMAGE.match(reference)
    assert found is not None  # noqa: S101 - it went through image_reference
    return found[1], found[2], found[3] or ""


def shown(value: str) -> str:
    """A value as an error may quote it: escaped, at most 60 characters."""
    text = value if len(value) <= 60 else value[:57] + "..."
    return '"' + text.encode("unicode_escape").decode("ascii") + '"'


Slug = Annotated[str, AfterValidator(slug)]
HostName = Annotated[str, AfterValidator(host_name)]
LanHost = Annotated[str, AfterValidator(lan_host)]
VpnHost = Annotated[str, AfterValidator(vpn_host)]
PublicDomain = Annotated[str, AfterValidator(public_domain)]
HttpsUrl = Annotated[str, AfterValidator(https_url)]
Email = Annotated[str, AfterValidator(email)]
Identifier = Annotated[str, AfterValidator(identifier)]
CommandPrefix = Annotated[str, AfterValidator(command_prefix)]
ProfileName = Annotated[str, AfterValidator(profile_name)]
FileName = Annotated[str, AfterValidator(file_name)]
BucketName = Annotated[str, AfterValidator(bucket_name)]
Sha256 = Annotated[str, AfterValidator(sha256)]
Name = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(one_line)]
Line = Annotated[str, Field(max_length=120), AfterValidator(one_line)]
EnvironmentName = Annotated[str, AfterValidator(environment_name)]
EnvironmentValue = Annotated[str, PlainValidator(environment_value)]
ImageReference = Annotated[str, AfterValidator(image_reference)]
OptionName = Annotated[str, AfterValidator(option_name)]
OptionValue = Annotated[bool | int | str, PlainValidator(option_value)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
