"""The listener: how a request is taken in, and the filters that it passes, in order."""

from typing import Final

from modelops.gateway import answers
from modelops.gateway.contention import asker
from modelops.gateway.module import FILTER, NAME
from modelops.gateway.routes import ROUTES
from modelops.gateway.snapshot import Front, Tls
from modelops.gateway.tracing import tracing
from modelops.gateway.typed import FILTERS, PREFIX, Json, extension, file_source, typed

MANAGER: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
CERTIFICATE: Final = "certificate"
MOST_HEADERS: Final = 100
HEADERS_KIB: Final = 32
STREAMS: Final = 1000
"""Requests in flight on one HTTP/2 connection."""


def listener(front: Front) -> Json:
    """Return the listener that callers reach; all that changes is in files that it follows."""
    address = {"address": front.address, "port_value": front.port}
    chain = {"filters": [{"name": "http", "typed_config": _manager(front)}], **_tls(front)}
    return {
        "name": "gateway",
        "address": {"socket_address": address},
        "per_connection_buffer_limit_bytes": 256 * 1024,
        "filter_chains": [chain],
    }


def _tls(front: Front) -> Json:
    if front.tls is None:
        return {}
    secret = {"name": CERTIFICATE, "sds_config": file_source(f"{front.folder}/{CERTIFICATE}.json")}
    context = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificate_sds_secret_configs": [secret]}
    kind = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return {
        "transport_socket": extension("tls", kind, common_tls_context=context),
        "transport_socket_connect_timeout": f"{front.headers_seconds}s",
    }


def certificate(tls: Tls) -> Json:
    """Return where the certificate is; it is read anew whenever its folder changes.

    That is so for a certificate that is discovered, and not for one in the listener itself.
    """
    pair = {
        "certificate_chain": {"filename": f"{tls.folder}/tls.crt"},
        "private_key": {"filename": f"{tls.folder}/tls.key"},
        "watched_directory": {"path": tls.folder},
    }
    kind = "envoy.extensions.transport_sockets.tls.v3.Secret"
    return typed(kind, name=CERTIFICATE, tls_certificate=pair)


def _manager(front: Front) -> Json:
    return typed(
        MANAGER,
        stat_prefix="gateway",
        rds={
            "route_config_name": ROUTES,
            "config_source": file_source(f"{front.folder}/routes.json"),
        },
        http_filters=_filters(front),
        local_reply_config={"mappers": answers.mappers()},
        always_set_request_id_in_response=True,
        **({"tracing": tracing(front.collector)} if front.collector else {}),
        **_limits(front),
        **_hygiene(),
    )


def _limits(front: Front) -> Json:
    """Return what one caller can take of the gateway at most."""
    return {
        "request_headers_timeout": f"{front.headers_seconds}s",
        "request_timeout": f"{front.upload_seconds}s",
        "stream_idle_timeout": f"{front.silent_seconds}s",
        "max_request_headers_kb": HEADERS_KIB,
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "max_headers_count": MOST_HEADERS,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": STREAMS,
            "initial_stream_window_size": 256 * 1024,
            "initial_connection_window_size": 1024 * 1024,
        },
    }


def _hygiene() -> Json:
    """Return how a request is cleaned before anything looks at it."""
    return {
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
        "strip_any_host_port": True,
        "server_header_transformation": "PASS_THROUGH",
    }


def _filters(front: Front) -> list[Json]:
    """Return the filters: a body is only read after its sender is known."""
    return [
        _followed(NAME, FILTER, front),
        asker(front),
        # Codes of answers are counted by the module, not by each cluster's name once more.
        _filter("router.v3.Router", suppress_envoy_headers=True, dynamic_stats=False),
    ]


def _filter(kind: str, **fields: object) -> Json:
    return extension(kind.partition(".")[0], f"{FILTERS}.{kind}", **fields)


def _followed(name: str, kind: str, front: Front) -> Json:
    """Return a filter whose configuration stands in a file of its own."""
    source = file_source(f"{front.folder}/{name}.json")
    found = {"config_source": source, "type_urls": [PREFIX + kind]}
    return {"name": name, "config_discovery": found}
