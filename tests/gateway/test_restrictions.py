"""The laws of what restricted tenants may use."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.conftest import model
from modelops.gateway.restrictions import allowed, restricted
from modelops.gateway.snapshot import Snapshot, Tenant

NAMES = st.text("ab", min_size=1, max_size=3)
GRANTS = st.builds(lambda name, star: name + star, st.text("ab", max_size=2), st.sampled_from("*a"))
SNAPSHOTS = st.builds(
    Snapshot,
    models=st.lists(
        st.builds(lambda name, space: model(name, namespace=space), NAMES, st.sampled_from("xy")),
        unique_by=lambda m: m.served_name,
    ).map(tuple),
    tenants=st.lists(
        st.builds(
            Tenant,
            NAMES,
            st.none() | st.lists(GRANTS).map(tuple),
            st.none() | st.lists(st.sampled_from("xy")).map(tuple),
        ),
        unique_by=lambda t: t.name,
    ).map(tuple),
)


@given(SNAPSHOTS)
def test_a_tenant_is_restricted_to_what_it_may_use(snapshot: Snapshot) -> None:
    """Who may not use everything is restricted to exactly what it may use; nobody else is."""
    found = restricted(snapshot)
    for tenant in snapshot.tenants:
        usable = {o.served_name for o in snapshot.offers if tenant.may_use(o)}
        assert found.get(tenant.name, {o.served_name for o in snapshot.offers}) == usable


@given(SNAPSHOTS)
def test_turned_round_it_says_the_same(snapshot: Snapshot) -> None:
    """A name's tenants are those that may use it, in an order that depends on nothing else."""
    found = restricted(snapshot)
    who = allowed(found)
    pairs = {(tenant, name) for tenant, names in found.items() for name in names}
    assert {(tenant, name) for name, tenants in who.items() for tenant in tenants} == pairs
    assert all(list(tenants) == sorted(tenants) for tenants in who.values())
