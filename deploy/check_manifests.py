#!/usr/bin/env python3
"""Validates Kubernetes manifests: against the schemas of Kubernetes' own kinds and of CRDs, both strictly, and for what no schema says.

usage: check_manifests.py --crds FOLDER --kubernetes 1.27 [--write FILE [--without KIND,…]] FILE…
       check_manifests.py --compose SCHEMA FILE…

Prints a line for each finding and exits with 1 if there are any. --write puts all documents, but for those of some kinds, into one file. --compose is for
files of Docker Compose.
"""

import argparse
import json
import pathlib
import re
import sys
from typing import Any, Iterator

import jsonschema
import kubernetes_validate
import yaml

# The only kinds that may be anything but Kubernetes' own: each has to have its CRD in the folder.
CUSTOM_KINDS = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject", "ClusterServingRuntime", "InferenceService"}

FLAG_TABLE = pathlib.Path(__file__).resolve().parent.parent / "src" / "config" / "flag_table.cc"
# What the processes of a server need to end once nothing is in flight.
STOP_MARGIN_S = 5
# Kubernetes' own, where a pod says nothing; KServe's runtimes cannot.
DEFAULT_GRACE_PERIOD_S = 30


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice, which YAML's libraries let win in silence."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.constructor.ConstructorError(None, None, f"twice in one mapping: {', '.join(sorted(twice))}", node.start_mark)
        return super().construct_mapping(node, deep)


def strict(schema: Any) -> Any:
    """A CRD's schema that also refuses fields which it does not name, as the API server does with strict validation."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: {name: strict(value) for name, value in value.items()} if key == "properties" else strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    return result


def custom_schemas(folder: pathlib.Path) -> dict[tuple[str, str], Any]:
    schemas = {}
    for path in sorted(folder.glob("*.yaml")):
        crd = yaml.load(path.read_text(), yaml.CSafeLoader)
        for version in crd["spec"]["versions"]:
            schemas[crd["spec"]["names"]["kind"], f"{crd['spec']['group']}/{version['name']}"] = strict(version["schema"]["openAPIV3Schema"])
    return schemas


def schema_findings(document: dict, version: str, schemas: dict) -> Iterator[str]:
    kind, api = document.get("kind"), document.get("apiVersion")
    try:
        if kind in CUSTOM_KINDS:
            if (kind, api) not in schemas:
                yield f"there is no CRD for {kind} of {api}"
                return
            jsonschema.validators.Draft4Validator(schemas[kind, api]).validate(document)
        else:
            kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.SchemaNotFoundError as error:
        yield f"Kubernetes {version} does not know the kind {error.kind} of {error.api_version}"
    except jsonschema.ValidationError as error:
        yield f"Kubernetes {version}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"


def known_flags() -> set[str]:
    return set(re.findall(r'(?:^    \{|Ignored\(|NotSupported\()"([a-z_]+)"', FLAG_TABLE.read_text(), re.MULTILINE))


def pods(document: dict) -> Iterator[dict]:
    """The pod specifications in a document."""
    kind = document["kind"]
    if kind == "Deployment":
        yield document["spec"]["template"]["spec"]
    elif kind in ("Pod", "ClusterServingRuntime"):
        yield document["spec"]


def pod_findings(document: dict, flags: set[str]) -> Iterator[str]:
    for pod in pods(document):
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        mounted = set()
        for container in pod.get("initContainers", []) + pod["containers"]:
            name = container["name"]
            mounted |= {mount["name"] for mount in container.get("volumeMounts", [])}
            yield from (f"{name}: not restricted: {what}" for what in privileges(pod, container))
            if "memory" not in container.get("resources", {}).get("limits", {}) and container in pod["containers"]:
                yield f"{name}: has no limit of memory"
            ports = {port.get("name") for port in container.get("ports", [])}
            for probe in (container.get(key, {}) for key in ("startupProbe", "readinessProbe", "livenessProbe")):
                port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port", 0)
                if isinstance(port, str) and port not in ports:
                    yield f"{name}: a probe asks port {port}, which is not there"
        if mounted != volumes:
            yield f"mounts {sorted(mounted)} of the volumes {sorted(volumes)}"
        yield from argument_findings(pod, flags)


def argument_findings(pod: dict, flags: set[str]) -> Iterator[str]:
    arguments = [re.fullmatch(r"--([a-z_]+)(?:=(.*))?", argument) for argument in pod["containers"][0].get("args", [])]
    values = {match[1]: match[2] for match in arguments if match}
    if unknown := values.keys() - flags:
        yield f"the server has no flag {', '.join(sorted(unknown))}"
    if "drain_timeout_seconds" in values:
        least = int(values["shutdown_grace_seconds"]) + int(values["drain_timeout_seconds"]) + STOP_MARGIN_S
        period = pod.get("terminationGracePeriodSeconds", DEFAULT_GRACE_PERIOD_S)
        if period < least:
            yield f"is killed after {period} s, and may take {least} s to stop"


def privileges(pod: dict, container: dict) -> Iterator[str]:
    """What Kubernetes' Pod Security Standard "restricted" would refuse."""
    context = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    if not context.get("runAsNonRoot"):
        yield "runAsNonRoot"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if context.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "capabilities"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile"


def set_findings(documents: list[dict]) -> Iterator[str]:
    """Whether the selectors of what belongs together select the pods of the Deployment, and nothing else."""
    deployments = [document for document in documents if document["kind"] == "Deployment"]
    if len(deployments) != 1:
        return
    template = deployments[0]["spec"]["template"]
    others = [document for document in documents if document["kind"] == "Pod"]
    for document in documents:
        spec, name = document.get("spec", {}), f"{document['kind']} {document['metadata']['name']}"
        selector = spec.get("podSelector", spec.get("selector"))
        if document["kind"] in ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
            wanted = selector.get("matchLabels", selector).items()
            if not wanted <= template["metadata"]["labels"].items():
                yield f"{name} does not select the Deployment's pods"
            yield from (f"{name} selects the pod {pod['metadata']['name']}" for pod in others if wanted <= pod["metadata"]["labels"].items())
        if (target := spec.get("scaleTargetRef")) and target["name"] != deployments[0]["metadata"]["name"]:
            yield f"{name} scales {target['name']}"
        if document["kind"] == "HorizontalPodAutoscaler" and "replicas" in deployments[0]["spec"]:
            yield f"{name} and the Deployment's replicas both decide"
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    yield from (f"{' '.join(name)} is there twice" for name in sorted(set(names)) if names.count(name) > 1)


def compose_findings(path: pathlib.Path, schema: Any) -> Iterator[str]:
    document = yaml.load(path.read_text(), StrictLoader)
    validator = jsonschema.validators.validator_for(schema)(schema)
    yield from (f"{path}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in validator.iter_errors(document))
    for name, service in document.get("services", {}).items():
        sources = {volume.split(":")[0] for volume in service.get("volumes", [])} - document.get("volumes", {}).keys()
        # A file that is not there becomes an empty folder.
        yield from (f"{path}: {name} mounts {source}, which is not there" for source in sorted(sources) if not (path.parent / source).exists())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--crds", type=pathlib.Path)
    parser.add_argument("--kubernetes")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--without", default="")
    parser.add_argument("--compose", type=pathlib.Path)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    if options.compose:
        schema = json.loads(options.compose.read_text())
        findings = [finding for path in options.files for finding in compose_findings(path, schema)]
    else:
        findings = manifest_findings(options)
    print(*findings, sep="\n", end="\n" if findings else "")
    return 1 if findings else 0


def manifest_findings(options: argparse.Namespace) -> list[str]:
    schemas, flags = custom_schemas(options.crds), known_flags()
    documents, findings = [], []
    for path in options.files:
        try:
            found = [document for document in yaml.load_all(path.read_text(), StrictLoader) if document is not None]
        except yaml.YAMLError as error:
            findings.append(f"{path}: {error}")
            continue
        for document in found:
            here = [*schema_findings(document, options.kubernetes, schemas)]
            here = here or [*pod_findings(document, flags)]
            findings += [f"{path}: {document.get('kind')} {document.get('metadata', {}).get('name')}: {finding}" for finding in here]
        documents += found
    if not findings:
        findings += [f"{options.files[0]}: {finding}" for finding in set_findings(documents)]
    if not documents:
        findings.append(f"{options.files[0]}: no documents")
    if options.write:
        options.write.write_text(yaml.safe_dump_all([document for document in documents if document["kind"] not in options.without.split(",")]))
    return findings


if __name__ == "__main__":
    sys.exit(main())
