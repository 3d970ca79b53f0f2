{{/* What the schema cannot say, or not in words: fails with what to write instead. */}}
{{- define "modelops.checks" -}}
{{- range $name, $reference := .Values.images -}}
{{- if and $reference (not (regexMatch "^[a-z0-9][^\\s@]*(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}|@sha256:[0-9a-f]{64})$" $reference)) -}}
{{- fail (printf "images.%s is %q, which has no tag or digest: write NAME:TAG or, better, NAME@sha256:DIGEST" $name $reference) -}}
{{- end -}}
{{- end -}}
{{- if not .Values.images.modelops -}}
{{- fail "images.modelops is empty, but the operator and every model's pod need it: write NAME:TAG or, better, NAME@sha256:DIGEST" -}}
{{- end -}}
{{- range .Values.operator.env -}}
{{- if hasPrefix "MODELOPS_" .name -}}
{{- fail (printf "operator.env sets %s, which the chart sets: use the chart's value for it" .name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.gateway.certificate.issuerRef (not .Values.gateway.tlsSecret) -}}
{{- fail "gateway.certificate has an issuer, but no Secret to put the certificate into: name one in gateway.tlsSecret" -}}
{{- end -}}
{{- if and .Values.redis.existingSecret (not .Values.redis.url) (not .Values.redis.urlSecret) -}}
{{- fail "redis.existingSecret is for a Redis of your own: say where that is in redis.url" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false: name the account that exists in serviceAccount.name" -}}
{{- end -}}
{{- end }}
