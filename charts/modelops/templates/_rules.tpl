{{- define "modelops.rules.policies" -}}
- apiGroups: [modelops.dev]
  resources: {{ toJson . }}
  verbs: [list, watch]
- apiGroups: [modelops.dev]
  resources:
    {{- range . }}
    - {{ . }}/status
    {{- end }}
  verbs: [patch]
{{- end }}

{{/* What the operator does in the namespaces that it watches; nothing more. */}}
{{- define "modelops.rules.watched" -}}
{{- $plurals := include "modelops.plurals.serving" . | fromJsonArray -}}
# The models: watched, and never written to but for their status and what is asked of their scale.
- apiGroups: [modelops.dev]
  resources: {{ toJson $plurals }}
  verbs: [get, list, watch]
- apiGroups: [modelops.dev]
  resources:
    {{- range $plurals }}
    - {{ . }}/status
    - {{ . }}/scale
    {{- end }}
  verbs: [patch]
# What tells how models may be used: watched, and given a status.
{{ include "modelops.rules.policies" (list "modelroutes" "tenants") }}
# Builds: objects of their own, and children of models that are quantized.
- apiGroups: [modelops.dev]
  resources: [modelbuilds]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [modelops.dev]
  resources: [modelbuilds/status]
  verbs: [patch]
# Their Jobs: made once, given further owners, and taken away when nobody asks for them any more.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, update, delete]
# Needed to own children with blockOwnerDeletion where the admission plugin
# OwnerReferencesPermissionEnforcement is on, as it is on OpenShift.
- apiGroups: [modelops.dev]
  resources:
    {{- range $plurals }}
    - {{ . }}/finalizers
    {{- end }}
  verbs: [update]
# Their children. A server-side apply of an object that does not exist takes create and patch.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.gatewayApi.enabled }}
# What attaches them to another Gateway, where the cluster knows these kinds.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [inference.networking.k8s.io]
  resources: [inferencepools]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if .Values.gateway.enabled }}
# What has KEDA scale them, where the cluster knows these kinds.
- apiGroups: [keda.sh]
  resources: [scaledobjects, triggerauthentications]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
# Their pods: why a replica is not ready, and how far its weights are.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
