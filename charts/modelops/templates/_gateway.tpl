{{/* Name of the gateway's Deployment, Service and account. */}}
{{- define "modelops.gateway.name" -}}
{{- if .Values.fullnameOverride -}}{{ .Values.fullnameOverride }}-gateway{{- else -}}modelops-gateway{{- end -}}
{{- end }}

{{/* The labels that select the gateway's pods; they never change. */}}
{{- define "modelops.gateway.selector" -}}
app.kubernetes.io/name: modelops-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of every object of the gateway. */}}
{{- define "modelops.gateway.labels" -}}
{{ include "modelops.gateway.selector" . }}
app.kubernetes.io/part-of: modelops
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "modelops.gateway.port" -}}8080{{- end }}
{{- define "modelops.gateway.adminPort" -}}9901{{- end }}
{{- define "modelops.gateway.envoyMetricsPort" -}}9902{{- end }}
{{- define "modelops.gateway.metricsPort" -}}9903{{- end }}
{{- define "modelops.gateway.limiterPort" -}}9904{{- end }}
{{- define "modelops.gateway.activatorPort" -}}9907{{- end }}
{{- define "modelops.gateway.scalerPort" -}}9905{{- end }}
{{- define "modelops.gateway.demandPort" -}}9906{{- end }}
{{/* The headless Service by which the gateway's pods find each other. */}}
{{- define "modelops.gateway.peers" -}}{{ include "modelops.gateway.name" . }}-pods{{- end }}
{{/* The Service of what scales models: KEDA asks it over gRPC, the operator over HTTP. */}}
{{- define "modelops.gateway.scaler" -}}{{ include "modelops.gateway.name" . }}-scaler{{- end }}
{{/* Requests are still taken for so long after the pod began to go: until all know that it goes. */}}
{{- define "modelops.gateway.settleSeconds" -}}5{{- end }}

{{/* The control process's settings: src/modelops/gateway/settings.py tells what each means. */}}
{{- define "modelops.gateway.env" -}}
- name: MODELOPS_GATEWAY_FOLDER
  value: /config
- name: MODELOPS_GATEWAY_SYSTEM_NAMESPACE
  value: {{ .Release.Namespace | quote }}
- name: MODELOPS_GATEWAY_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: MODELOPS_GATEWAY_BIND_ADDRESS
  value: "0.0.0.0"
- name: MODELOPS_GATEWAY_PORT
  value: {{ include "modelops.gateway.port" . | quote }}
- name: MODELOPS_GATEWAY_ADMIN_PORT
  value: {{ include "modelops.gateway.adminPort" . | quote }}
- name: MODELOPS_GATEWAY_ENVOY_METRICS_PORT
  value: {{ include "modelops.gateway.envoyMetricsPort" . | quote }}
- name: MODELOPS_GATEWAY_METRICS_PORT
  value: {{ include "modelops.gateway.metricsPort" . | quote }}
- name: MODELOPS_GATEWAY_LIMITER_PORT
  value: {{ include "modelops.gateway.limiterPort" . | quote }}
- name: MODELOPS_GATEWAY_SCALER_PORT
  value: {{ include "modelops.gateway.scalerPort" . | quote }}
- name: MODELOPS_GATEWAY_DEMAND_PORT
  value: {{ include "modelops.gateway.demandPort" . | quote }}
- name: MODELOPS_GATEWAY_PEERS
  value: {{ include "modelops.gateway.peers" . | quote }}
- name: MODELOPS_GATEWAY_POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: MODELOPS_GATEWAY_ACTIVATOR_PORT
  value: {{ include "modelops.gateway.activatorPort" . | quote }}
{{- with .Values.gateway.activator }}
- name: MODELOPS_GATEWAY_HELD_PER_MODEL
  value: {{ .perModel | int64 | quote }}
- name: MODELOPS_GATEWAY_HELD_IN_ALL
  value: {{ .total | int64 | quote }}
- name: MODELOPS_GATEWAY_HELD_BYTES
  value: {{ .bytes | int64 | quote }}
- name: MODELOPS_GATEWAY_HELD_SECONDS
  value: {{ .holdSeconds | int64 | quote }}
- name: MODELOPS_GATEWAY_HEARTBEAT_SECONDS
  value: {{ .heartbeatSeconds | int64 | quote }}
{{- end }}
- name: MODELOPS_GATEWAY_SETTLE_SECONDS
  value: {{ include "modelops.gateway.settleSeconds" . | quote }}
- name: MODELOPS_GATEWAY_REQUESTS_PER_REPLICA
  value: {{ .Values.gateway.limits.requestsPerReplica | int64 | quote }}
- name: MODELOPS_GATEWAY_ON_FAILURE
  value: {{ .Values.gateway.limits.onFailure | quote }}
- name: MODELOPS_GATEWAY_REDIS_URL
  {{- if .Values.redis.urlSecret }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.urlSecret }}
      key: url
  {{- else }}
  value: {{ include "modelops.redis.url" . | quote }}
  {{- end }}
- name: MODELOPS_GATEWAY_REDIS_FOLDER
  value: {{ ternary "/redis" "" (ne .Values.redis.existingSecret "") | quote }}
{{- include "modelops.gateway.jobs" . }}
- name: MODELOPS_GATEWAY_LARGEST_BODY
  value: {{ .Values.gateway.largestBody | int64 | quote }}
- name: MODELOPS_GATEWAY_ACCESS_LOG
  value: {{ .Values.gateway.accessLog | quote }}
- name: MODELOPS_GATEWAY_MEMORY
  valueFrom:
    resourceFieldRef:
      containerName: envoy
      resource: limits.memory
- name: MODELOPS_GATEWAY_TENANT_LIMIT
  value: {{ .Values.gateway.tenantRequestsPerMinute | int64 | quote }}
- name: MODELOPS_GATEWAY_TLS_FOLDER
  value: {{ ternary "/tls" "" (ne .Values.gateway.tlsSecret "") | quote }}
- name: MODELOPS_GATEWAY_COLLECTOR
  value: {{ .Values.gateway.openTelemetry.collector | quote }}
- name: MODELOPS_GATEWAY_TRACED_PERCENT
  value: {{ .Values.gateway.openTelemetry.tracedPercent | toString | quote }}
- name: MODELOPS_GATEWAY_OIDC
  value: {{ .Values.gateway.oidc | toJson | quote }}
- name: MODELOPS_GATEWAY_LOG_LEVEL
  value: {{ .Values.gateway.logLevel | quote }}
{{- end }}

{{/* What the gateway reads in the namespaces that it serves; it writes how many replicas it asks for. */}}
{{- define "modelops.gateway.rules" -}}
{{- $plurals := include "modelops.plurals.serving" . | fromJsonArray -}}
- apiGroups: [modelops.dev]
  resources: {{ append $plurals "modelroutes" | toJson }}
  verbs: [list, watch]
# To wake models at zero.
- apiGroups: [modelops.dev]
  resources:
    {{- range $plurals }}
    - {{ . }}/scale
    {{- end }}
  verbs: [patch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end }}

{{/* Who may reach models, as a JSON list of NetworkPolicy peers: the gateway, and who scrapes. */}}
{{- define "modelops.callers" -}}
{{- if and .Values.gateway.enabled .Values.networkPolicy.models -}}
{{- $release := dict "matchLabels" (dict "kubernetes.io/metadata.name" .Release.Namespace) -}}
{{- $pods := dict "matchLabels" (include "modelops.gateway.selector" . | fromYaml) -}}
{{- $gateway := dict "namespaceSelector" $release "podSelector" $pods -}}
{{- $others := ternary .Values.gatewayApi.callers list .Values.gatewayApi.enabled -}}
{{- concat (list $gateway) .Values.networkPolicy.metricsFrom $others | toJson -}}
{{- end -}}
{{- end }}

{{/* The Gateway that models are attached to, as JSON; empty where that is not wanted. */}}
{{- define "modelops.gatewayApi" -}}
{{- with .Values.gatewayApi -}}
{{- if .enabled -}}
{{- $picker := .endpointPicker -}}
{{- $chosen := dict "picker" $picker.name "picker_port" $picker.port "failure_mode" $picker.failureMode -}}
{{- dict "parents" .parentRefs | merge $chosen | toJson -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "modelops.gateway.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where KEDA asks how many replicas a model needs, and where the operator reads it of all models;
     empty where there is no gateway, for nobody else measures that. */}}
{{- define "modelops.scaler" -}}
{{- if .Values.gateway.enabled -}}
{{ include "modelops.gateway.scaler" . }}.{{ .Release.Namespace }}.svc:{{ include "modelops.gateway.scalerPort" . }}
{{- end -}}
{{- end }}
{{- define "modelops.decisions" -}}
{{- if .Values.gateway.enabled -}}
http://{{ include "modelops.gateway.scaler" . }}.{{ .Release.Namespace }}.svc:{{ include "modelops.gateway.demandPort" . }}/decisions
{{- end -}}
{{- end }}
