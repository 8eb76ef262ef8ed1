"""The forty things that went wrong with the legacy estate: what was seen, and what caused it. The rules are numbered after them.

Gathered from its postmortem, runbooks, code, history and state exports. Nothing here names a person, an address or a secret.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident: what people saw, and why."""

    number: int
    what: str
    why: str


INCIDENTS = tuple(
    Incident(number, what, why)
    for number, (what, why) in enumerate(
        (
            ("Everything was down for months, and nobody could build it again.", "No rebuild was ever rehearsed; one person knew how."),
            (
                "Vault was sealed after every restart; five attempts over three days.",
                "Its keys were needed to reach the secrets that deploy what holds the keys.",
            ),
            ("Keeping the keys in MinIO failed: MinIO itself waited for Vault.", "Two stores needed each other."),
            (
                "A missing key file led to a second initialisation, which failed.",
                "One branch for “never initialised” and “initialised, and the keys are gone”.",
            ),
            (
                "Deploying the second layer ended with 404 from Vault.",
                "A token from the wrong place, localhost written into the address, Vault not up.",
            ),
            (
                "A month after each deployment the next one was refused (403).",
                "Derived tokens lived as long as the default says, and nothing renewed them.",
            ),
            ("PostgreSQL ran in Docker, and nothing backed it up.", "Backups had no owner; the volume was on one node."),
            (
                "MinIO was costly, and everything above it shook when it did.",
                "Storage hosted on the same machine lay beneath the secret store.",
            ),
            ("404 by localhost, by LAN and by VPN.", "The routing rule named the public host only."),
            (
                "Requests went to the wrong service; old tasks answered.",
                "Two services claimed one router's name; a task of an earlier deployment was left over.",
            ),
            ("Services were not routed at all.", "Labels are free text with typos; the service was not in the proxy's network."),
            (
                "The certificate authority refused for an hour.",
                "The real authority was asked before DNS was ready, and for tests on the same domain.",
            ),
            ("Logins failed with broken tokens.", "Values were pasted by hand: line breaks, twice the same, mangled generated text."),
            ("Services found neither RabbitMQ nor Redis.", "Names carried a random suffix, or the network was another."),
            ("The disk was full of containers' layers.", "Three services restarted without end, each time with a new layer."),
            (
                "The broker refused those services.",
                "They started before it was ready, and idle connections were closed: no heartbeat on either side.",
            ),
            ("Logs grew without limit.", "No driver had a limit."),
            ("Grafana restarted without end.", "Its database address had no port, and nothing said to speak TLS."),
            (
                "Not one line in the log search.",
                "The collector's pattern matched two parts of a tag, and the tags had more; one driver was switched off.",
            ),
            ("Credentials in clear in the repository.", "Nothing looked before a commit."),
            ("The unseal keys were committed once, and are in the history still.", "The ignore rule came after the file."),
            ("Old exports hold 79 secrets as plain text.", "The state was exported with its secrets shown."),
            (
                "Values were written to one path and read from another.",
                "The environment's name was fixed in a script, and changed elsewhere later.",
            ),
            ("Three Redis wrote one path of Vault; the last one won.", "The path was a constant."),
            (
                "Production wrote debugging lines and used the development chat token.",
                "Behaviour hung on a free text: the stack's name, which was changed.",
            ),
            (
                "LAN and VPN addresses were configured, and did nothing.",
                "A feature was half taken out: its rules were computed and never used.",
            ),
            ("The status page watched old domains and retired nodes.", "What is watched was kept by hand, beside the deployment."),
            ("Metrics went into a bucket that was never made.", "Nobody compared the two ends of a name."),
            ("Metrics of the broker, the cache and the database never came.", "Stock settings were kept: localhost, no port, no TLS."),
            (
                "Memory and size limits had no effect.",
                "The settings file was mounted and never loaded; the volume driver does not know the option.",
            ),
            ("Three stores lay inside another one's folder.", "One disk was mounted as one volume, and the others were put into it."),
            ("A service waited for ever for a node.", "Its placement asks for a label that no document says to set."),
            (
                "An update left two services that wanted one port.",
                "The new one is made before the old one is removed, and the port is fixed.",
            ),
            ("The same file deployed other programs from one week to the next.", "Tags that move: latest, main, none at all."),
            ("Two bots accepted every certificate.", "The managed database's authority was not trusted, so verification was switched off."),
            ("Connection strings were printed at each deployment.", "Debugging was left in, and nothing masked it."),
            ("A config made by hand was used by its id.", "A resource outside of the code."),
            ("The broker let guest in and had a public route; so had Redis.", "Routes were added for developers, and stayed."),
            ("The platform's state pointed at what was not in it.", "Services and secrets were cut out of the export by hand."),
            ("One person's account name was part of every reference between stacks.", "Ownership was written into the code."),
        ),
        start=1,
    )
)
