{{- define "modelops.metricsPort" -}}9090{{- end }}
{{- define "modelops.healthPort" -}}8081{{- end }}

{{/* The operator's settings: src/modelops/controller/settings.py tells what each means. */}}
{{- define "modelops.env" -}}
- name: MODELOPS_IDENTITY
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: MODELOPS_LEASE_NAMESPACE
  value: {{ .Release.Namespace | quote }}
- name: MODELOPS_LEASE_NAME
  value: {{ include "modelops.name" . | quote }}
- name: MODELOPS_LEASE_SECONDS
  value: {{ .Values.operator.leaseSeconds | quote }}
- name: MODELOPS_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: MODELOPS_IMAGES
  value: {{ include "modelops.images" . | quote }}
- name: MODELOPS_ACCELERATOR
  value: {{ .Values.accelerator | quote }}
- name: MODELOPS_CACHE_SIZE
  value: {{ .Values.cache.size | quote }}
- name: MODELOPS_STORAGE_CLASS
  value: {{ .Values.cache.storageClassName | quote }}
- name: MODELOPS_BUILD_PRIORITY_CLASS
  value: {{ include "modelops.buildPriorityClass" . | quote }}
- name: MODELOPS_BUILD_QUEUE
  value: {{ .Values.builds.kueueQueue | quote }}
- name: MODELOPS_CLUSTER_DOMAIN
  value: {{ .Values.clusterDomain | quote }}
- name: MODELOPS_CALLERS
  value: {{ include "modelops.callers" . | quote }}
- name: MODELOPS_GATEWAY_API
  value: {{ include "modelops.gatewayApi" . | quote }}
- name: MODELOPS_SCALER
  value: {{ include "modelops.scaler" . | quote }}
- name: MODELOPS_JOBS
  value: {{ include "modelops.jobs" . | quote }}
- name: MODELOPS_DECISIONS_URL
  value: {{ include "modelops.decisions" . | quote }}
- name: MODELOPS_WORKERS
  value: {{ .Values.operator.workers | quote }}
- name: MODELOPS_RESYNC_SECONDS
  value: {{ .Values.operator.resyncSeconds | quote }}
- name: MODELOPS_STUCK_SECONDS
  value: {{ .Values.operator.stuckSeconds | quote }}
- name: MODELOPS_LOG_LEVEL
  value: {{ .Values.operator.logLevel | quote }}
- name: MODELOPS_LOG_FORMAT
  value: {{ .Values.operator.logFormat | quote }}
- name: MODELOPS_METRICS_PORT
  value: {{ include "modelops.metricsPort" . | quote }}
- name: MODELOPS_HEALTH_PORT
  value: {{ include "modelops.healthPort" . | quote }}
{{- with .Values.operator.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
