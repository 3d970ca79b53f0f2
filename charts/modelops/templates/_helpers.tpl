{{/* Name of the Deployment, and the start of every other name. */}}
{{- define "modelops.name" -}}
{{- .Values.fullnameOverride | default "modelops-operator" -}}
{{- end }}

{{/* The labels that select the operator's pods; they never change. */}}
{{- define "modelops.selector" -}}
app.kubernetes.io/name: modelops-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of every object of the chart. */}}
{{- define "modelops.labels" -}}
{{ include "modelops.selector" . }}
app.kubernetes.io/part-of: modelops
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "modelops.serviceAccount" -}}
{{- $default := .Values.serviceAccount.create | ternary (include "modelops.name" .) "default" -}}
{{- .Values.serviceAccount.name | default $default -}}
{{- end }}

{{/* The priority class of builds' pods; empty for none. */}}
{{- define "modelops.buildPriorityClass" -}}
{{- $class := .Values.builds.priorityClass -}}
{{- $class.name | default ($class.create | ternary (printf "%s-builds" (include "modelops.name" .)) "") -}}
{{- end }}

{{/* Plural names of all modelops kinds, as a JSON list: those of the CRDs beside this chart. */}}
{{- define "modelops.plurals" -}}
{{- $plurals := list -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" -}}
{{- $plurals = append $plurals ($.Files.Get $path | fromYaml).spec.names.plural -}}
{{- end -}}
{{- toJson $plurals -}}
{{- end }}

{{/* Those of the kinds that serve: they can be scaled. */}}
{{- define "modelops.plurals.serving" -}}
{{- $plurals := list -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" -}}
{{- $spec := ($.Files.Get $path | fromYaml).spec -}}
{{- if (index $spec.versions 0).subresources.scale -}}
{{- $plurals = append $plurals $spec.names.plural -}}
{{- end -}}
{{- end -}}
{{- toJson $plurals -}}
{{- end }}

{{/* The images of models' pods that have a reference, as JSON. */}}
{{- define "modelops.images" -}}
{{- $images := dict -}}
{{- range $name, $reference := .Values.images -}}
{{- if and $reference (not (has $name (list "envoy" "redis"))) -}}{{- $_ := set $images $name $reference -}}{{- end -}}
{{- end -}}
{{- toJson $images -}}
{{- end }}

{{/* "true" when an object of `kind` in monitoring.coreos.com/v1 is wanted: (list $ create kind). */}}
{{- define "modelops.monitored" -}}
{{- $root := index . 0 -}}{{- $create := index . 1 -}}{{- $kind := index . 2 -}}
{{- $known := $root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" $kind) -}}
{{- if or (eq $create "Always") (and (eq $create "Auto") $known) -}}true{{- end -}}
{{- end }}
