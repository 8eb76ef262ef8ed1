"""The only importer of hvac: a Protocol of what we ask of Vault or OpenBao, and the real client. Every call has a limit.

Nothing is taken from the environment or from a token file of the user's: what this client says comes from its arguments.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import hvac
import requests
from hvac import exceptions

from sprocket_v2.errors import ApplyError

TIMEOUT_S = 15
UPGRADE_LIMIT_S = 15.0  # a new key-value engine of version 2 refuses calls for a moment
_CONNECTIONS = 32
_UPGRADING = "Upgrading from non-versioned to versioned"
_HINTS = (
    ("plugin not found in the catalog", "this server lacks that part: HashiCorp Vault has it built in, OpenBao wants it as a plug-in"),
    ("check-and-set", "somebody else wrote there at the same moment: look at it, then apply again"),
    ("no handler for route", "mount the secrets engine first: the blueprint names it under `mounts`"),
)
Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reach:
    """How a server is reached.

    Attributes:
        url: scheme, host and port.
        host: the Host header where the way leads through the entry port; empty for the URL's own.
        token: reference of the token, `organization/name`: each call takes the newest version that the run has.
    """

    url: str
    host: str
    token: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a server can be used: initialised, sealed, and how many of how many keys it has been given."""

    initialized: bool
    sealed: bool
    threshold: int = 0
    progress: int = 0


class Vault(Protocol):
    """What the provider asks of a server. Paths are the API's, without `v1/`; None stands for "not there"."""

    def standing(self) -> Standing:
        """Whether it is initialised and unsealed; asked without a token."""
        ...

    def unseal(self, key: str) -> Standing:
        """Give it one key."""
        ...

    def find(self, path: str) -> Data | None:
        """The data of a path."""
        ...

    def keys(self, path: str) -> list[str]:
        """The names below a path; none when there is nothing."""
        ...

    def write(self, path: str, data: Data) -> None:
        """Write to a path."""
        ...

    def remove(self, path: str) -> None:
        """Remove a path; one that is gone is no error."""
        ...

    def kv_version(self, mount: str) -> int:
        """1 or 2: which key-value engine is mounted there; 0 when none is."""
        ...


def connect(reach: Reach, ask: Callable[[str], str]) -> HvacVault:
    """A client; it opens no connection yet.

    Args:
        ask: reference -> value, for the token, when first needed.
    Raises:
        ApplyError: the address is none.
    """
    parts = urlsplit(reach.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path.strip("/") or parts.query:
        raise ApplyError(
            f"{reach.url} is not the address of a server", hint="write it as http://host:port or https://host:port", where="Vault"
        )
    return HvacVault(reach, ask)


class HvacVault:
    """The real client. Thread safe: the provider makes many objects at once."""

    def __init__(self, reach: Reach, ask: Callable[[str], str]) -> None:
        self._reach, self._ask = reach, ask
        session = requests.Session()
        session.trust_env = False  # no proxy and no .netrc: a token is sent to this address only
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        if reach.host:
            session.headers["Host"] = reach.host
        self._session = session
        self._without_token = self._client("")
        self._with_token: hvac.Client | None = None

    # --- the server itself

    def standing(self) -> Standing:
        """Whether it is initialised and unsealed; asked without a token."""
        what = "reading whether it is unsealed"
        with self._words(what):
            return _standing(self._answer(what, self._without_token.sys.read_seal_status()))

    def unseal(self, key: str) -> Standing:
        """Give it one key."""
        with self._words("unsealing"):
            return _standing(self._answer("unsealing", self._without_token.sys.submit_unseal_key(key)))

    # --- paths

    def find(self, path: str) -> Data | None:
        """The data of a path."""
        answer = self._call("reading", path, lambda client: client.adapter.get(f"/v1/{path}"))
        return None if answer is None else answer.get("data", answer)

    def keys(self, path: str) -> list[str]:
        """The names below a path; none when there is nothing."""
        answer = self._call("listing", path, lambda client: client.adapter.get(f"/v1/{path}", params={"list": True}))
        return [] if answer is None else [str(key) for key in answer["data"]["keys"]]

    def write(self, path: str, data: Data) -> None:
        """Write to a path."""
        if self._call("writing", path, lambda client: client.write_data(path, data=dict(data)) or {}) is None:
            raise self._error(f"writing {path}: there is no such place", "mount the secrets engine or enable the auth method first")

    def remove(self, path: str) -> None:
        """Remove a path; one that is gone is no error."""
        self._call("removing", path, lambda client: client.adapter.delete(f"/v1/{path}"))

    def kv_version(self, mount: str) -> int:
        """1 or 2: which key-value engine is mounted there; 0 when none is."""
        what = f"looking for the secrets engine {mount}"
        with self._words(what):
            try:
                found = self._answer(what, self._authorized().adapter.get(f"/v1/sys/internal/ui/mounts/{mount}"))
            except exceptions.Forbidden:  # the answer for "not there" as well
                if self._is_unmounted(mount):
                    return 0
                policies = self._policies()
                raise self._error(
                    f"no secrets engine is mounted at {mount}, or the token's policies ({policies}) hide it",
                    "name it under `mounts` of the blueprint, or give the token a policy that reads it",
                ) from None
        data = found.get("data") or {}
        if data.get("type") not in ("kv", "generic"):
            raise self._error(f"{mount} is of type {data.get('type')}, not kv", "keep secrets in a key-value engine")
        return int((data.get("options") or {}).get("version") or 1)

    def _is_unmounted(self, mount: str) -> bool:
        """Whether the token may look, and there is no such engine."""
        try:
            return f"{mount}/" not in (self._authorized().read("sys/mounts") or {}).get("data", {})
        except exceptions.Forbidden:
            return False

    # --- how

    def _client(self, token: str) -> hvac.Client:
        return hvac.Client(self._reach.url, token=token, timeout=TIMEOUT_S, session=self._session, verify=True, allow_redirects=False)

    def _authorized(self) -> hvac.Client:
        if self._with_token is None:
            self._with_token = self._client(self._ask(self._reach.token))
        return self._with_token

    def _call(self, doing: str, path: str, call: Callable[[hvac.Client], Any]) -> Data | None:
        limit = time.monotonic() + UPGRADE_LIMIT_S
        while True:
            with self._words(f"{doing} {path}"):
                try:
                    return self._answer(f"{doing} {path}", call(self._authorized()))
                except exceptions.InvalidPath as error:  # hvac's own `read` takes any 404 for "not there"
                    if error.json is None:  # Vault answers in JSON, a proxy without a route does not
                        raise
                    return None
                except exceptions.InvalidRequest as error:
                    if _UPGRADING not in str(error) or time.monotonic() > limit:
                        raise
            time.sleep(0.1)

    def _answer(self, what: str, answer: Any) -> Data:  # noqa: ANN401 - JSON, or a response without any
        if not isinstance(answer, requests.Response):
            return answer
        if answer.status_code == 204:
            return {}
        said = f"redirects to {answer.headers.get('Location', 'another place')}" if answer.is_redirect else "answers what Vault would not"
        raise self._error(f"{what}: {self._reach.url} {said}", "give the address of the active server itself")

    def _policies(self) -> str:
        """Names of the token's policies.

        Raises:
            ApplyError: this server does not know the token.
        """
        try:
            found = self._authorized().read("auth/token/lookup-self") or {}
        except exceptions.Forbidden:
            raise ApplyError(
                "the token has expired, was revoked, or is another server's",
                hint=f"make a new one and store it: `sprocket secret set {self._reach.token.replace('/', ' ')}`",
                where=self._reach.token,
            ) from None
        except (exceptions.VaultError, requests.exceptions.RequestException):
            return "not known"
        return ", ".join(found.get("data", {}).get("policies") or ["none"])

    @contextmanager
    def _words(self, what: str) -> Iterator[None]:
        """Errors of the library as ours."""
        try:
            yield
        except exceptions.Forbidden:
            raise self._error(
                f"{what}: the token's policies ({self._policies()}) do not allow it", "give the token a policy that does, or take another"
            ) from None
        except exceptions.InvalidPath:
            raise self._error(
                f"{what}: something that is not Vault says 404",
                f"is the service behind the route of {self._reach.host or self._reach.url} Vault, and does it run?",
                transient=True,
            ) from None
        except exceptions.VaultDown as error:
            raise self._down(what, error) from None
        except exceptions.VaultError as error:
            said = ", ".join(error.errors or ()) or f"an error without words ({type(error).__name__})"
            hint = next((hint for needle, hint in _HINTS if needle in said), "look at the server's log")
            later = isinstance(error, (exceptions.InternalServerError, exceptions.BadGateway, exceptions.RateLimitExceeded))
            raise self._error(f"{what}: Vault says {said}", hint, transient=later) from None
        except requests.exceptions.Timeout:
            raise self._error(f"{what}: no answer within {TIMEOUT_S} s", "is the machine overloaded?", transient=True) from None
        except requests.exceptions.RequestException as error:
            raise self._error(
                f"{what}: Vault does not answer ({type(error).__name__})",
                "does its service run, and does this address lead to it? `docker service ps` and its log say more",
                transient=True,
            ) from None

    def _down(self, what: str, error: exceptions.VaultError) -> ApplyError:
        """Sealed, not initialised, or neither: a server that is not initialised says that it is sealed."""
        if error.json is None:
            return self._error(f"{what}: no server behind this address is up", "look at the service's tasks and log", transient=True)
        try:
            standing = _standing(self._without_token.sys.read_seal_status())
        except (exceptions.VaultError, requests.exceptions.RequestException):
            standing = Standing(initialized=True, sealed=False)
        if not standing.initialized:
            return self._error(f"{what}: Vault is not initialised", "its start script initialises it: look at the service's log")
        if standing.sealed:
            return self._error(
                f"{what}: Vault is sealed", "restart its service, whose script unseals it, or give it its keys: `bao operator unseal`"
            )
        return self._error(f"{what}: Vault is not ready", "it may be starting or a standby: apply again in a minute", transient=True)

    def _error(self, message: str, hint: str, *, transient: bool = False) -> ApplyError:
        return ApplyError(message, hint=hint, where=self._reach.host or self._reach.url, transient=transient)


def _standing(status: Data) -> Standing:
    return Standing(bool(status["initialized"]), bool(status["sealed"]), int(status.get("t") or 0), int(status.get("progress") or 0))
