"""Tries every row of the route matrix and says in one sentence what came of it. Changes nothing; needs no Docker."""

from __future__ import annotations

import http
import time
from collections.abc import Iterator, Mapping
from typing import Any

from provisioning.asking import Served, addresses_of, request, served_certificate
from provisioning.verdict import Check, CheckState

WAY = "way/"
_BAD_GATEWAY = {
    404: "Traefik knows no such host: it runs another blueprint",
    502: "Traefik is there, and nothing answers behind it",
    503: "Traefik is there, and nothing runs behind it",
    504: "Traefik is there, and what is behind it does not answer in time",
}
_ACME_PATIENCE_S = 25.0  # below a lease's life: nobody renews it within one check


class Patience:
    """How long, all in all, to ask again where an answer is not there yet."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def lasts(self, pause_s: float = 0.3) -> bool:
        """Wait a moment and say True, while there is time."""
        if time.monotonic() > self._until:
            return False
        time.sleep(pause_s)
        return True


def probe(blueprint: Mapping[str, Any], address: str = "127.0.0.1", patience: Patience | None = None) -> Iterator[Check]:
    """One check for each row that a way can reach, and on a public way one for the redirect and one for HSTS.

    Args:
        blueprint: blueprint.json as data.
        address: where the entry ports are, without name resolution.
    """
    patience = patience or Patience(0)
    rows = [row for row in blueprint.get("routes", ()) if row["router"]]
    authority = Patience(_ACME_PATIENCE_S if any(row["certificate"] in ("staging", "live", "private") for row in rows) else 0)
    proxy = f"{blueprint['organization']['slug']}_traefik"
    for row in rows:
        yield _row(row, address, patience, authority, proxy)
    public = [row for row in rows if row["way"] == "public"]
    if public:
        yield _redirect(public[0], address)
        if any(way["way"] == "public" and way.get("hsts") for way in blueprint["access"]["ways"]):
            yield _hsts(public[0], address)


def check_name(row: Mapping[str, Any]) -> str:
    """The check that belongs to a row of the matrix."""
    return f"{WAY}{row['way']}/{row['component']}"


def _row(row: Mapping[str, Any], address: str, patience: Patience, authority: Patience, proxy: str) -> Check:
    title = f"{row['title']} by {row['way']}: {row['url']}"
    answer = _asked(row, address)
    while not _answers(answer.status) and patience.lasts():
        answer = _asked(row, address)
    if not _answers(answer.status):
        reason = _BAD_GATEWAY.get(answer.status, answer.says())
        if answer.status == http.HTTPStatus.FORBIDDEN:
            reason = f"Traefik refuses this machine's own address; it lets in {', '.join(row['allowed'])}"
        return _check(
            row,
            title,
            "failed",
            f"{row['path']}: {reason}.",
            f"docker service logs --tail 50 {proxy}, then the log of the component behind it",
        )
    served = None
    if row["tls"]:
        served = served_certificate(address, row["port"], row["host"])
        while served.problem and authority.lasts(1.0):
            served = served_certificate(address, row["port"], row["host"])
        state, reason, hint = _judged(row, served, proxy)
        if state != "ok":
            return _check(row, title, state, reason, hint)
    shown = f" with a certificate of {served.issuer} for {served.days_left} more days" if served else ""
    leads = _leads_nowhere(row)
    said = f"{row['path']} answers {answer.status}{shown}."
    return _check(row, title, "warning" if leads else "ok", f"{said} {leads}".strip(), f"make the record: A {row['host']}" if leads else "")


def _asked(row: Mapping[str, Any], address: str) -> Any:  # noqa: ANN401 - an Answer
    return request(address, row["port"], "GET", row["host"], row["path"], body=None, headers={}, tls=row["tls"])


def _answers(status: int) -> bool:
    return 200 <= status < 400


def _judged(row: Mapping[str, Any], served: Served, proxy: str) -> tuple[CheckState, str, str]:
    """Whether the certificate is what the matrix expects, in one sentence."""
    expects, issued = row["certificate"], f"The certificate is of {served.issuer}"
    if served.problem:
        hint = f"docker service logs {proxy} has what the authority said; once that is put right, docker service update --force {proxy} asks again"
        return (
            "failed",
            f"The route answers, but with no good certificate: {served.problem}.",
            hint if expects != "own" else "bring another one",
        )
    if served.days_left < 14:
        return (
            "warning",
            f"{issued}, and runs out in {served.days_left} days.",
            "bring a new one" if expects == "own" else f"docker service logs {proxy}",
        )
    if expects == "staging":
        if "STAGING" not in served.issuer.upper():
            return "failed", f"{issued}; Let's Encrypt's staging authority was expected.", "apply the blueprint again"
        return (
            "warning",
            f"Issued by {served.issuer}: name, port and challenge are proved; browsers still warn.",
            "set certificates to live",
        )
    if expects == "live" and not served.is_trusted:
        return "failed", f"{issued}, which this machine does not trust.", f"docker service logs {proxy} has what the authority said"
    return "ok", "", ""


def _leads_nowhere(row: Mapping[str, Any]) -> str:
    """That a name still needs its record, for names the internet's name servers should know."""
    if row["way"] != "public" or addresses_of(row["host"]):
        return ""
    return "The name leads nowhere yet, as far as this machine is told."


def _redirect(row: Mapping[str, Any], address: str) -> Check:
    answer = request(address, 80, "GET", row["host"], "/", body=None, headers={}, tls=False)
    target = answer.headers.get("location", "")
    good = answer.status in (301, 308) and target.startswith(f"https://{row['host']}")
    title = "Plain HTTP leads to HTTPS"
    return Check(
        "redirect/public",
        title,
        "ok" if good else "failed",
        f"{answer.says()}, to {target or 'nowhere'}.",
        "" if good else "is port 80 another's?",
    )


def _hsts(row: Mapping[str, Any], address: str) -> Check:
    told = _asked(row, address).headers.get("strict-transport-security", "")
    return Check("hsts/public", "Browsers are told to insist on HTTPS", "ok" if told else "failed", told or "They are not told.", "")


def _check(row: Mapping[str, Any], title: str, state: CheckState, reason: str, hint: str) -> Check:
    """A row's check. Only the canonical way decides whether the deployment runs; another's failure is a warning."""
    if state == "failed" and not row["canonical"]:
        state = "warning"
    return Check(check_name(row), title, state, reason, hint)
