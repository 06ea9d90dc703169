{{/* The server's command line. */}}
{{- define "tflite-serving.args" -}}
- --port=8500
- --rest_api_port=8501
{{- if .Values.modelConfig }}
- --model_config_file=/etc/tflite-serving/models/models.config
{{- with int .Values.modelConfigPollSeconds }}
- --model_config_file_poll_wait_seconds={{ . }}
{{- end }}
{{- else }}
- --model_name={{ .Values.model.name }}
- --model_base_path={{ include "tflite-serving.modelPath" . }}
{{- end }}
{{- if eq .Values.model.source "storage" }}
- --model_cache_dir={{ include "tflite-serving.modelMount" . }}
- --model_cache_max_mb={{ int .Values.model.storage.cacheMb }}
{{- end }}
- --shutdown_grace_seconds={{ int .Values.shutdownGraceSeconds }}
- --drain_timeout_seconds={{ int .Values.drainTimeoutSeconds }}
{{- if .Values.apiKeys.existingSecret }}
- --api_keys_file=/etc/tflite-serving/api-keys/{{ .Values.apiKeys.key }}
{{- end }}
{{- if .Values.tls.existingSecret }}
- --tls_certificate_file=/etc/tflite-serving/tls/tls.crt
- --tls_key_file=/etc/tflite-serving/tls/tls.key
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tflite-serving.modelPath" -}}
{{- if eq .Values.model.source "bundled" -}}
/usr/share/tflite-serving/models/digits
{{- else if eq .Values.model.source "storage" -}}
{{ .Values.model.storage.url }}
{{- else -}}
/models{{ with .Values.model.path }}/{{ . }}{{ end }}
{{- end }}
{{- end }}

{{- define "tflite-serving.modelMount" -}}
{{ ternary "/var/cache/tflite-serving" "/models" (eq .Values.model.source "storage") }}
{{- end }}

{{/* include "tflite-serving.probe" (list $ PROBE PATH) */}}
{{- define "tflite-serving.probe" -}}
{{- $root := index . 0 }}
{{- $probe := index . 1 }}
{{- if not $probe.tcpSocket -}}
httpGet:
  path: {{ index . 2 }}
  port: http
  scheme: {{ include "tflite-serving.scheme" $root | upper }}
{{ end -}}
{{ toYaml $probe }}
{{- end }}

{{- define "tflite-serving.modelVolume" -}}
- name: model
  {{- with .Values.model }}
  {{- if eq .source "pvc" }}
  persistentVolumeClaim:
    claimName: {{ .pvc.claimName }}
    readOnly: true
  {{- else if eq .source "configMap" }}
  configMap:
    name: {{ .configMap.name }}
  {{- else if eq .source "initContainer" }}
  emptyDir:
    {{- with .initContainer.sizeLimit }}
    sizeLimit: {{ . }}
    {{- else }} {}
    {{- end }}
  {{- else if eq .source "storage" }}
  emptyDir:
    sizeLimit: {{ div (mul 11 .storage.cacheMb) 10 | add 1 }}Mi
  {{- else if eq .source "image" }}
  image:
    {{- toYaml .image | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}
