{{/* What no schema can say, or not in words: everything that is wrong with the values, at once. */}}
{{- define "tflite-serving.check" -}}
{{- $wrong := list }}
{{- $model := .Values.model }}
{{- $field := get (dict "pvc" "claimName" "configMap" "name" "initContainer" "image" "image" "reference" "storage" "url") $model.source }}
{{- $configured := and (eq $model.source "storage") .Values.modelConfig }}
{{- if and $field (not (get (get $model $model.source) $field)) (not $configured) }}
{{- $wrong = append $wrong (printf "model.source %s needs model.%s.%s" $model.source $model.source $field) }}
{{- end }}
{{- if and $model.path (has $model.source (list "bundled" "storage")) }}
{{- $wrong = append $wrong (printf "model.path is below /models, where model.source %s has nothing" $model.source) }}
{{- end }}
{{- if and (eq $model.source "image") (semverCompare "<1.31.0-0" .Capabilities.KubeVersion.Version) }}
{{- $wrong = append $wrong (printf "model.source image needs Kubernetes 1.31 or newer, and this is %s" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- with .Values.service }}
{{- if and (eq .clusterIP "None") (or (ne .type "ClusterIP") (ne (int .httpPort) 8501) (ne (int .grpcPort) 8500)) }}
{{- $wrong = append $wrong "service.clusterIP None needs type ClusterIP and the pods' own ports, httpPort 8501 and grpcPort 8500" }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (not (or .targetCPUUtilizationPercentage .targetSaturationPercentage)) }}
{{- $wrong = append $wrong "autoscaling: neither targetCPUUtilizationPercentage nor targetSaturationPercentage says by what" }}
{{- end }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- $wrong = append $wrong (printf "autoscaling: minReplicas (%d) is more than maxReplicas (%d)" (int .minReplicas) (int .maxReplicas)) }}
{{- end }}
{{- end }}
{{- if $wrong }}
{{- join "\n" $wrong | fail }}
{{- end }}
{{- end }}
