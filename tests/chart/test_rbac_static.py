"""The chart's rules are exactly what the code calls: neither more nor less.

The code is read, not run: every call of a verb of Cluster in the controller stands in CALLS with
the resources that it can name. A call that is not in the table, and a rule that no call needs,
fail. That the table tells the truth is shown on a real API server by its audit log.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

import pytest

from chart.helm import NAMESPACE, ROOT, Helm, one
from modelops.api.base import GROUP
from modelops.api.builds import BUILDS
from modelops.api.kinds import KINDS
from modelops.api.policies import POLICIES
from modelops.cluster import PLURALS, Cluster
from modelops.sync.observed import ATTACHING_TYPES, CHILD_TYPES, KEDA_TYPES, ChildType

Resource = tuple[str, str]
Permission = tuple[str, str, str]
"""API group, resource, verb."""

CONTROLLER: Final = ROOT / "src" / "modelops" / "controller"


def builtin(api_version: str, kind: str) -> Resource:
    """Return the resource of a built-in kind."""
    return api_version.rpartition("/")[0], PLURALS[api_version, kind]


KIND: Final = frozenset((GROUP, kind.plural) for kind in KINDS.values())
STATUS: Final = frozenset((GROUP, f"{kind.plural}/status") for kind in KINDS.values())
SCALE: Final = frozenset((GROUP, f"{kind.plural}/scale") for kind in KINDS.values())
POLICY: Final = frozenset((GROUP, kind.plural) for kind in POLICIES.values())
POLICY_STATUS: Final = frozenset((GROUP, f"{kind.plural}/status") for kind in POLICIES.values())
FINALIZERS: Final = frozenset((GROUP, f"{kind.plural}/finalizers") for kind in KINDS.values())
CHILD: Final = frozenset(builtin(child.api_version, child.kind) for child in CHILD_TYPES)
BUILD: Final = frozenset((GROUP, kind.plural) for kind in BUILDS.values())
BUILD_STATUS: Final = frozenset((GROUP, f"{kind.plural}/status") for kind in BUILDS.values())
JOB: Final = frozenset({builtin("batch/v1", "Job")})
CLAIM: Final = frozenset({("", "persistentvolumeclaims")})
POD: Final = frozenset({("", "pods")})
LOG: Final = frozenset({("", "pods/log")})
EVENT: Final = frozenset({builtin("events.k8s.io/v1", "Event")})
LEASE: Final = frozenset({builtin("coordination.k8s.io/v1", "Lease")})
CRD: Final = frozenset({("apiextensions.k8s.io", "customresourcedefinitions")})

VERBS: Final[Mapping[str, frozenset[str]]] = {
    "get": frozenset({"get"}),
    "list": frozenset({"list"}),
    "survey": frozenset({"list"}),
    "watch": frozenset({"watch"}),
    "apply": frozenset({"create", "patch"}),  # an apply creates what does not exist
    "apply_status": frozenset({"patch"}),
    "create": frozenset({"create"}),
    "replace": frozenset({"update"}),
    "delete": frozenset({"delete"}),
    "tail": frozenset({"get"}),
    "scale": frozenset({"patch"}),
}
CALLS: Final[Mapping[tuple[str, str], frozenset[Resource]]] = {
    ("observe", "get"): KIND | CHILD,
    ("observe", "list"): CHILD | POD,
    ("observe", "tail"): LOG,
    ("observe_build", "get"): BUILD | CLAIM,
    ("observe_build", "list"): BUILD | JOB | POD,
    ("observe_build", "tail"): LOG,
    ("loop", "apply"): CHILD,
    ("loop", "apply_status"): STATUS | BUILD_STATUS,
    ("loop", "create"): EVENT | JOB | CLAIM,
    ("loop", "replace"): JOB,
    ("loop", "delete"): CHILD | JOB,
    ("loop", "scale"): SCALE,
    ("autoscaler", "scale"): SCALE,
    ("room", "scale"): SCALE,
    ("ticker", "list"): KIND | BUILD,
    ("policies", "apply_status"): POLICY_STATUS,
    ("lookout", "list"): frozenset(),  # only the optional kinds, which have a test of their own
}
LEASE_CALLS: Final[Mapping[tuple[str, str], frozenset[Resource]]] = {
    ("election", "get"): LEASE,
    ("election", "create"): LEASE,
    ("election", "replace"): LEASE,
}
KOPF: Final = frozenset({"list", "watch"})


def permissions(resources: Iterable[Resource], verbs: Iterable[str]) -> set[Permission]:
    """Return every verb on every resource."""
    return {(group, name, verb) for group, name in resources for verb in verbs}


def called(table: Mapping[tuple[str, str], frozenset[Resource]]) -> set[Permission]:
    """Return what the calls of a table need."""
    needed = (permissions(resources, VERBS[call[1]]) for call, resources in table.items())
    return set().union(*needed)


def granted(role: Mapping[str, Any]) -> set[Permission]:
    """Return what a role allows."""
    rules = role["rules"]
    each = ((g, r) for rule in rules for g in rule["apiGroups"] for r in rule["resources"])
    assert "*" not in {part for resource in each for part in resource}
    found = (
        permissions([(g, r) for g in rule["apiGroups"] for r in rule["resources"]], rule["verbs"])
        for rule in rules
    )
    return set().union(*found)


WATCHED: Final = (
    called(CALLS)
    | permissions(KIND | CHILD | BUILD | JOB, KOPF)
    | permissions(POLICY | KIND, {"list", "watch"})  # what its reflectors follow
    | permissions(FINALIZERS, {"update"})  # to be an owner that blocks its own deletion
)


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Return the controller's modules, parsed."""
    for path in sorted(CONTROLLER.glob("*.py")):
        yield path.stem, ast.parse(path.read_text(encoding="utf-8"))


def receiver(node: ast.expr) -> str:
    """Return the last word of what a method is called on: `self.cluster` is `cluster`."""
    return ast.unparse(node).rpartition(".")[2].lstrip("_")


def calls() -> set[tuple[str, str]]:
    """Return each (module, method) that the controller calls on a cluster."""
    return {
        (module, node.func.attr)
        for module, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and receiver(node.func.value) == "cluster"
    }


def test_every_call_is_in_the_table() -> None:
    """The table names the calls that the controller makes, all of them and no other."""
    assert calls() == set(CALLS) | set(LEASE_CALLS)


def test_every_verb_is_in_the_table() -> None:
    """Each public method of Cluster is a verb whose permissions are known."""
    parts = {part.name for part in fields(Cluster)}
    assert {name for name in vars(Cluster) if not name.startswith("_")} - parts == set(VERBS)


def test_kopf_only_watches() -> None:
    """No handler of kopf that would write to the objects is in use."""
    used = {
        node.attr
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "kopf.on"
    }
    assert "event" in used
    assert used <= {"startup", "cleanup", "login", "probe", "event"}


def test_children_block_the_deletion_of_their_owner() -> None:
    """The rule for finalizers has its reason: where it has none, it must go."""
    source = (ROOT / "src" / "modelops" / "sync" / "render.py").read_text(encoding="utf-8")
    assert '"blockOwnerDeletion": True' in source


def optional(types: Iterable[ChildType]) -> set[Permission]:
    """Return what children of kinds that a cluster may lack need."""
    resources = frozenset(builtin(child.api_version, child.kind) for child in types)
    return permissions(resources, {"get", "create", "patch", "delete"} | KOPF)


def test_the_operator_may_do_what_it_does_and_no_more(helm: Helm) -> None:
    """Cluster-wide: the models, their children and pods, Events; and to see CRDs come."""
    role = one(helm.objects("--set=gateway.enabled=false"), "ClusterRole", "modelops-operator")
    assert granted(role) == WATCHED | permissions(CRD, KOPF)


def test_scaling_models_takes_two_kinds_of_keda_more(helm: Helm) -> None:
    """ScaledObjects and what their triggers need only where a gateway measures what models need."""
    role = one(helm.objects(), "ClusterRole", "modelops-operator")
    assert granted(role) == WATCHED | permissions(CRD, KOPF) | optional(KEDA_TYPES)


def test_the_lease_is_the_operators_own(helm: Helm) -> None:
    """Leases: in the release's namespace, and none but the operator's own once it exists."""
    role = one(helm.objects(), "Role", "modelops-operator-lease")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert granted(role) == called(LEASE_CALLS)
    free = [rule["verbs"] for rule in role["rules"] if not rule.get("resourceNames")]
    assert free == [["create"]]


def test_attaching_models_takes_two_kinds_more(helm: Helm) -> None:
    """Pools and routes only where the chart is asked to attach models to a Gateway."""
    chosen = ("--set=gatewayApi.enabled=true", "--set=gateway.enabled=false")
    role = one(helm.objects(*chosen), "ClusterRole", "modelops-operator")
    assert granted(role) == WATCHED | permissions(CRD, KOPF) | optional(ATTACHING_TYPES)


@pytest.mark.parametrize("namespace", ["team-a", "team-b"])
def test_watched_namespaces_get_roles_instead(helm: Helm, namespace: str) -> None:
    """With watchNamespaces each gets the same rules as a Role, and nothing is allowed elsewhere."""
    objects = helm.objects("--set=watchNamespaces={team-a,team-b}")
    whole = {o["metadata"]["name"] for o in objects if o["kind"].startswith("ClusterRole")}
    assert whole == {"modelops-operator-edit", "modelops-operator-view"}
    (role,) = [
        found
        for found in objects
        if found["kind"] == "Role"
        and found["metadata"]["namespace"] == namespace
        and found["metadata"]["name"] == "modelops-operator"
    ]
    assert granted(role) == WATCHED | optional(KEDA_TYPES)


def test_tenants_are_followed_where_the_platform_is(helm: Helm) -> None:
    """With watchNamespaces the operator sees tenants in the release's namespace, and no more."""
    role = one(helm.objects("--set=watchNamespaces={team-a}"), "Role", "modelops-operator-tenants")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert granted(role) == permissions({(GROUP, "tenants")}, {"list", "watch"}) | permissions(
        {(GROUP, "tenants/status")}, {"patch"}
    )


def test_no_rule_reaches_secrets(helm: Helm) -> None:
    """No role of the chart names Secrets: they are only referenced."""
    roles = [found for found in helm.objects() if found["kind"] in {"Role", "ClusterRole"}]
    named = {name for role in roles for rule in role["rules"] for name in rule["resources"]}
    assert roles
    assert not {name for name in named if "secret" in name}


@pytest.mark.parametrize("account", ["modelops-operator", "modelops-gateway"])
def test_every_role_is_bound_to_its_account_alone(helm: Helm, account: str) -> None:
    """Each binding has one subject, the account that it is named after, and a role of the chart."""
    objects = helm.objects("--set=watchNamespaces={team-a}")
    names = {(o["kind"], o["metadata"]["name"]) for o in objects}
    bindings = [found for found in objects if found["kind"].endswith("Binding")]
    subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    assert len(bindings) == 5
    own = [b for b in bindings if b["metadata"]["name"].startswith(account)]
    assert len(own) == (3 if account == "modelops-operator" else 2)
    for binding in own:
        assert binding["subjects"] == [subject]
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in names
        assert binding["roleRef"]["name"].startswith(account)


def test_users_get_rights_on_models_with_their_own_roles(helm: Helm) -> None:
    """Who may edit a namespace may edit its models, who may view it may view them."""
    objects = helm.objects()
    edit = one(objects, "ClusterRole", "modelops-operator-edit")
    view = one(objects, "ClusterRole", "modelops-operator-view")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {f"{prefix}admin", f"{prefix}edit"} <= set(edit["metadata"]["labels"])
    assert f"{prefix}view" in view["metadata"]["labels"]
    assert permissions(KIND, {"create", "delete", "get", "list", "patch", "update", "watch"}) <= (
        granted(edit)
    )
    assert {verb for _, _, verb in granted(view)} == {"get", "list", "watch"}
    assert STATUS.isdisjoint({(group, name) for group, name, _ in granted(edit)})
