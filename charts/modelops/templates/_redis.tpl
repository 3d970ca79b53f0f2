{{/* Name of Redis' Deployment and Service. */}}
{{- define "modelops.redis.name" -}}
{{- if .Values.fullnameOverride -}}{{ .Values.fullnameOverride }}-redis{{- else -}}modelops-redis{{- end -}}
{{- end }}

{{/* The labels that select its pod; they never change. */}}
{{- define "modelops.redis.selector" -}}
app.kubernetes.io/name: modelops-redis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of every object of it. */}}
{{- define "modelops.redis.labels" -}}
{{ include "modelops.redis.selector" . }}
app.kubernetes.io/part-of: modelops
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Not empty when the chart installs one. */}}
{{- define "modelops.redis.own" -}}
{{- with .Values.redis -}}
{{- if and $.Values.gateway.enabled .enabled (not .url) (not .urlSecret) -}}true{{- end -}}
{{- end -}}
{{- end }}

{{/* Where the gateway finds it; empty when there is none. */}}
{{- define "modelops.redis.url" -}}
{{- if .Values.redis.url -}}
{{ .Values.redis.url }}
{{- else if include "modelops.redis.own" . -}}
redis://{{ include "modelops.redis.name" . }}.{{ .Release.Namespace }}.svc:6379/0
{{- end -}}
{{- end }}
