{{/* Where jobs are, as JSON for the operator; empty where none are done. */}}
{{- define "modelops.jobs" -}}
{{- with .Values.jobs -}}
{{- if and .redis.url .s3.bucket -}}
{{- $redis := dict "redis_url" .redis.url "redis_secret" .redis.existingSecret -}}
{{- $s3 := dict "s3_endpoint" .s3.endpoint "s3_bucket" .s3.bucket "s3_secret" .s3.existingSecret -}}
{{- merge $redis $s3 (dict "public_url" .s3.publicUrl) | toJson -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The same and how jobs are taken, as the gateway's environment. */}}
{{- define "modelops.gateway.jobs" -}}
{{- with .Values.jobs }}
- name: MODELOPS_GATEWAY_JOBS_PORT
  value: "9908"
- name: MODELOPS_GATEWAY_JOBS_REDIS_URL
  value: {{ ternary .redis.url "" (ne .s3.bucket "") | quote }}
- name: MODELOPS_GATEWAY_JOBS_REDIS_FOLDER
  value: {{ ternary "/jobs-redis" "" (ne .redis.existingSecret "") | quote }}
- name: MODELOPS_GATEWAY_JOBS_S3_ENDPOINT
  value: {{ .s3.endpoint | quote }}
- name: MODELOPS_GATEWAY_JOBS_S3_BUCKET
  value: {{ .s3.bucket | quote }}
- name: MODELOPS_GATEWAY_JOBS_S3_SIGNED_ENDPOINT
  value: {{ .s3.signedEndpoint | quote }}
- name: MODELOPS_GATEWAY_JOBS_PUBLIC_URL
  value: {{ .s3.publicUrl | quote }}
- name: MODELOPS_GATEWAY_JOBS_URL_SECONDS
  value: {{ .urlSeconds | int64 | quote }}
- name: MODELOPS_GATEWAY_JOBS_ANSWER_SECONDS
  value: {{ .answerSeconds | int64 | quote }}
- name: MODELOPS_GATEWAY_JOBS_KEPT_SECONDS
  value: {{ .keptSeconds | int64 | quote }}
- name: MODELOPS_GATEWAY_JOBS_QUOTA
  value: {{ .perTenant | int64 | quote }}
- name: MODELOPS_GATEWAY_JOBS_LONGEST_WAIT_SECONDS
  value: {{ .longestWaitSeconds | int64 | quote }}
- name: MODELOPS_GATEWAY_JOBS_ALLOWED_NETWORKS
  value: {{ join "," .webhooks.allowedNetworks | quote }}
- name: MODELOPS_GATEWAY_JOBS_WEBHOOK_KEY
  {{- if .webhooks.existingSecret }}
  valueFrom:
    secretKeyRef:
      name: {{ .webhooks.existingSecret }}
      key: key
  {{- else }}
  value: ""
  {{- end }}
{{- end }}
{{- end }}
