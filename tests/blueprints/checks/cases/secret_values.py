"""Cases of the rules about secrets. The values are made up, and look real only to the scan."""

from __future__ import annotations

from blueprints.checks.facts import Records
from blueprints.estate.model import Remark
from tests.blueprints.checks.estates import Case, part, secret, service, subject

_TOKEN = "hvs." + "CAESIJ" * 5
_PASSWORD = "Tr0ub4dor" + "AndThree77"
_REMARK = Remark("secret.plaintext", "warning", "79 values the engine marks as secret stand in clear", "rotate them", "layer_1.json")
_MOUNTED = service("api", secrets=(secret("api_jwt_v1"),))
_JWT = {"swarm_name": "api_jwt_v1", "kind": "generated", "consumers": ["api"]}
CASES = {
    "I13-secrets-have-a-form": Case(
        subject(service("api", secrets=(secret("a", "/key"), secret("b", "/key")))),
        "is a and b at once",
        subject(_MOUNTED, secrets={"jwt": _JWT, "bot": {"kind": "supplied", "pattern": "[a-z]{20,}"}}),
    ),
    "I13-secret-values": Case(
        subject(records=Records(secret_problems={"bot-token": "holds a line break"})),
        "holds a line break",
        subject(records=Records(secret_problems={"bot-token": ""})),
    ),
    "I20-secret-in-file": Case(
        subject(texts={"bootstrap.env": f"VAULT_TOKEN={_TOKEN}\n"}),
        "VAULT_TOKEN",
        subject(texts={"bootstrap.env": "VAULT_TOKEN_FILE=/run/secrets/vault-token\nPASSWORD=${PASSWORD}\n"}),
    ),
    "I20-secret-in-settings": Case(
        subject(service("influx", environment={"DOCKER_INFLUXDB_INIT_PASSWORD": _PASSWORD})),
        "secret",
        subject(service("influx", environment={"DOCKER_INFLUXDB_INIT_PASSWORD_FILE": "/run/secrets/influx"})),
    ),
    "I21-secret-in-history": Case(
        subject(history={"fff0c3c:unseal-tokens/keys.txt": f"Initial Root Token: {_TOKEN}"}),
        "Token",
        subject(history={"1234567:README.md": "The token is in the store."}),
    ),
    "I22-plaintext-export": Case(
        subject(part("network", "net", source="export", remarks=(_REMARK,))), "79 values", subject(part("network", "net", source="export"))
    ),
    "I23-reference-leads-somewhere": Case(
        subject(_MOUNTED, secrets={"jwt": {**_JWT, "swarm_name": "api_jwt_v2"}}),
        "which no reference fills",
        subject(_MOUNTED, secrets={"jwt": _JWT}),
    ),
    "I23-value-is-there": Case(
        subject(_MOUNTED, secrets={"jwt": _JWT}, records=Records(missing_secrets=("jwt",))),
        "nobody has set it",
        subject(_MOUNTED, secrets={"jwt": _JWT}, records=Records()),
    ),
    "I36-masking": Case(
        subject(records=Records(leaks=("base64",))), "lets a secret through in the form base64", subject(records=Records(leaks=())),
    ),
}  # fmt: skip
