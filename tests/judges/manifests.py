"""Judges what `kerf cloud bundle` wrote: Kubernetes by its own schemas, KEDA by its models, FDL by OSCAR's own types."""

import json
import pathlib
import subprocess
import sys

import jsonschema
import kubernetes_validate
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject

folder, definitions = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
VERSIONS = ("1.28", "1.33")


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def check(document):
    kind = document["kind"]
    if kind == "ScaledObject":
        ScaledObject.model_validate(document)
        assert int(document["spec"]["triggers"][0]["metadata"]["threshold"]) > 0
    elif kind != "Kustomization":
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
    if kind == "Deployment":
        check_pod(document["spec"]["template"]["spec"])
        assert "replicas" not in document["spec"], "the autoscaler owns the number"
    return kind


def check_pod(pod):
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        assert "startupProbe" in container


kinds = []
for file in sorted(folder.glob("kubernetes*/*.yaml")):
    kinds += [check(document) for document in documents(file.read_text())]
assert sorted(kinds) == sorted(
    ["Deployment"] * 2 + ["HorizontalPodAutoscaler"] * 2 + ["NetworkPolicy"] * 2 + ["ScaledObject"] * 2
    + ["Kustomization"] * 2 + ["Service"]
), kinds

# What the judges would say of a broken one: they can fail.
broken = documents((folder / "kubernetes/serve.yaml").read_text())[0]
broken["spec"]["template"]["spec"]["containers"][0]["port"] = 1
try:
    check(broken)
    raise SystemExit("a field that Kubernetes does not know was let through")
except kubernetes_validate.ValidationError:
    pass

for file in sorted(folder.glob("oscar-*/fdl.yaml")):
    (service,) = yaml.safe_load(file.read_text())["functions"]["oscar"][0].values()
    service["script"] = (file.parent / service["script"]).read_text()
    assert service["script"].startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", file.parent / "script.sh"], check=True)
    known = definitions["definitions"]["types.Service"]["properties"]
    assert set(service) <= set(known), set(service) - set(known)
    jsonschema.validate(service, {"$ref": "#/definitions/types.Service", **definitions})
    if "expose" in service:
        assert set(service["expose"]) <= set(definitions["definitions"]["types.Expose"]["properties"])

# With kustomize at hand (kubectl has it built in): the overlays build, and only one autoscaler stands for a Deployment.
if len(sys.argv) > 3:
    for overlay, autoscaler in (("kubernetes", "HorizontalPodAutoscaler"), ("kubernetes-keda", "ScaledObject")):
        built = subprocess.run([sys.argv[3], "kustomize", folder / overlay], check=True, capture_output=True, text=True)
        built = documents(built.stdout)
        kinds = [check(document) for document in built]
        assert kinds.count(autoscaler) == 2 and len(kinds) == 7, kinds
        for deployment in (d for d in built if d["kind"] == "Deployment"):
            labels = deployment["spec"]["template"]["metadata"]["labels"]
            assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
            assert "app.kubernetes.io/name" in deployment["spec"]["selector"]["matchLabels"]
print("agreed")
