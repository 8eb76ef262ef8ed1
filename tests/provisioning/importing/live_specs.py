"""Services as four makers leave them on an engine 20.10; each is what `docker service inspect` said of one, with other names."""

from __future__ import annotations

import copy
from typing import Any

_POLICY = {"Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000, "MaxFailureRatio": 0, "Order": "stop-first"}
NETWORK: dict[str, Any] = {
    "Name": "prod_net", "Id": "l27zjwrx171m", "Scope": "swarm", "Driver": "overlay", "Labels": {"com.docker.stack.namespace": "prod"},
    "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]},
    "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"},
}  # fmt: skip
VOLUME: dict[str, Any] = {
    "Name": "data",
    "Driver": "local",
    "Labels": None,
    "Options": {"type": "none", "o": "bind", "device": "/mnt/data"},
}
CONFIG: dict[str, Any] = {"ID": "immx6xw4hu5r", "Spec": {"Name": "prod_cfg", "Labels": {"com.docker.stack.namespace": "prod"}, "Data": ""}}

STACK_DEPLOY: dict[str, Any] = {
    "Name": "prod_web",
    "Labels": {"com.docker.stack.image": "redis:7.0-bookworm", "com.docker.stack.namespace": "prod", "traefik.enable": "true"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "redis:7.0-bookworm",
            "Labels": {"c.label": "x", "com.docker.stack.namespace": "prod"},
            "Args": ["sleep", "600"],
            "Hostname": "h-{{.Node.Hostname}}",
            "Env": ["A=1"],
            "Privileges": {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False},
            "StopGracePeriod": 10_000_000_000,
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30_000_000_000},
            "DNSConfig": {},
            "Configs": [
                {"File": {"Name": "/c", "UID": "5", "GID": "6", "Mode": 256}, "ConfigID": "immx6xw4hu5r", "ConfigName": "prod_cfg"}
            ],
            "Isolation": "default",
            "CapabilityAdd": ["CAP_NET_ADMIN"],
        },
        "Resources": {"Limits": {"MemoryBytes": 67108864}, "Reservations": {"MemoryBytes": 33554432}},
        "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0},
        "Placement": {
            "Constraints": ["node.role==manager"], "MaxReplicas": 2, "Platforms": [{"Architecture": "amd64", "OS": "linux"}, {"OS": "linux"}]
        },
        "Networks": [{"Target": "l27zjwrx171m", "Aliases": ["foo", "web"]}],
        "ForceUpdate": 0,
        "Runtime": "container",
    },
    "Mode": {"Replicated": {"Replicas": 1}},
    "UpdateConfig": _POLICY,
    "RollbackConfig": _POLICY,
    "EndpointSpec": {
        "Mode": "vip",
        "Ports": [
            {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 23451, "PublishMode": "ingress"},
            {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 23452, "PublishMode": "host"},
        ],
    },
}  # fmt: skip

SERVICE_CREATE: dict[str, Any] = {
    "Name": "cache",
    "Labels": {},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "redis:7.0-bookworm",
            "Args": ["sleep", "600"],
            "Env": ["T=1"],
            "Init": False,
            "Mounts": [
                {"Type": "volume", "Source": "data", "Target": "/d"},
                {"Type": "bind", "Source": "/etc/hostname", "Target": "/b", "ReadOnly": True},
                {"Type": "tmpfs", "Target": "/t", "ReadOnly": True},
            ],
            "StopGracePeriod": 10_000_000_000,
            "DNSConfig": {},
            "Isolation": "default",
        },
        "Resources": {"Limits": {"MemoryBytes": 67108864, "NanoCPUs": 333_333_333}, "Reservations": {}},
        "RestartPolicy": {"Condition": "on-failure", "Delay": 5_000_000_000, "MaxAttempts": 3, "Window": 120_000_000_000},
        "Placement": {"Constraints": ["node.role==manager"]},
        "Networks": [{"Target": "l27zjwrx171m"}],
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
        "ForceUpdate": 4,
        "Runtime": "container",
    },
    "Mode": {"Replicated": {"Replicas": 0}},
    "UpdateConfig": {**_POLICY, "Parallelism": 0, "Order": "start-first", "FailureAction": "rollback"},
    "RollbackConfig": _POLICY,
    "EndpointSpec": {"Mode": "vip"},
}

GLOBAL: dict[str, Any] = {
    "Name": "logs",
    "Labels": {},
    "TaskTemplate": {
        "ContainerSpec": {"Image": "redis:7.0-bookworm", "Args": ["sleep", "600"], "DNSConfig": {}, "Isolation": "default"},
        "Resources": {"Limits": {}, "Reservations": {}},
        "Placement": {},
        "ForceUpdate": 0,
        "Runtime": "container",
    },
    "Mode": {"Global": {}},
}

# As Pulumi's Docker provider leaves one: zeros written out, a health check that asks nothing, the policies of nobody.
PULUMI: dict[str, Any] = {
    "Name": "sprocket-web-service-1a2b3c4",
    "Labels": {"traefik.http.routers.web.rule": "Host(`example.org`)"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "asaxplayinghorse/web:main@sha256:" + "0" * 64,
            "Env": ["ENV=production", "NOTHING="],
            "Dir": "/app",
            "User": "node",
            "StopSignal": "SIGINT",
            "ReadOnly": True,
            "Privileges": {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False},
            "StopGracePeriod": 0,
            "Healthcheck": {"Interval": 0, "Timeout": 0, "StartPeriod": 0, "Retries": 0},
            "DNSConfig": {"Nameservers": [], "Search": None},
            "Isolation": "default",
        },
        "Resources": {"Limits": {}, "Reservations": {}},
        "RestartPolicy": {"Condition": "any", "Delay": 0, "MaxAttempts": 0, "Window": 0},
        "Placement": {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
        "LogDriver": {"Name": "fluentd", "Options": {"fluentd-async": "true", "tag": "docker.{{.Name}}"}},
        "ForceUpdate": 0,
        "Runtime": "container",
    },
    "Networks": [{"Target": "l27zjwrx171m", "Aliases": ["web"]}],
    "Mode": {"Replicated": {"Replicas": 1}},
    "EndpointSpec": {"Mode": "vip"},
}
MAKERS = {"docker stack deploy": STACK_DEPLOY, "docker service create": SERVICE_CREATE, "its mode global": GLOBAL, "Pulumi": PULUMI}


def live(spec: dict[str, Any]) -> dict[str, Any]:
    """The service as an engine answers with it; a copy."""
    return {"ID": f"id-{spec['Name']}", "Version": {"Index": 7}, "Spec": copy.deepcopy(spec)}
