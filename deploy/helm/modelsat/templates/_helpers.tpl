{{- define "modelsat.name" -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- define "modelsat.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "modelsat.labels" -}}
{{ include "modelsat.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "modelsat.onVolume" -}}
{{- if and .Values.feedback.enabled (not .Values.feedback.store) }}yes{{ end -}}
{{- end }}
