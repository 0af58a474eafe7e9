{{- /* What every pod has. Called with (list root component values). */ -}}
{{- define "homeport.pod" -}}
{{- $root := index . 0 -}}{{- $values := index . 2 -}}
serviceAccountName: {{ include "homeport.serviceAccount" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  # Always would open private files in the volume to the group at each start.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- /* What every container has. Called with (list root values). */ -}}
{{- define "homeport.container" -}}
{{- $root := index . 0 -}}{{- $values := index . 1 -}}
image: {{ include "homeport.image" $root | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
env:
  - {name: HOME, value: /tmp}
{{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Health over HTTP: a gRPC probe can do no TLS. Alive without the store, ready with it. */ -}}
{{- define "homeport.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 5
  # A server that finds no store waits for it; nothing is won by starting it again sooner.
  failureThreshold: 120
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 3
{{- end -}}

{{- /* Of a Secret that is read at the start alone: changes when the Secret does, and tells nothing
of it. Empty where no cluster is asked (helm template). Called with (list root name…). */ -}}
{{- define "homeport.secretVersions" -}}
{{- $root := index . 0 -}}
{{- range rest . -}}
{{- if . -}}
{{- $found := lookup "v1" "Secret" $root.Release.Namespace . -}}
{{- if $found }}{{ . }}={{ $found.metadata.resourceVersion }};{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A volume of one Secret. Called with (list volume secret), and a key where it is that alone. */ -}}
{{- define "homeport.secretVolume" -}}
{{- $key := "" }}{{ if gt (len .) 2 }}{{ $key = index . 2 }}{{ end -}}
- name: {{ index . 0 }}
  {{- if $key }}
  secret: {secretName: {{ index . 1 | quote }}, defaultMode: 0440, items: [{key: {{ $key | quote }}, path: {{ $key | quote }}}]}
  {{- else }}
  secret: {secretName: {{ index . 1 | quote }}, defaultMode: 0440}
  {{- end }}
{{- end -}}

{{- /* How long a pod may take to end: preStop, calls under way, slots given back, and some. */ -}}
{{- define "homeport.grace" -}}
{{- add 25 (int (ceil (get .settings "drain_s" | default 10))) -}}
{{- end -}}

{{- /* The ports of endpoints, which are host:port, by comma. */ -}}
{{- define "homeport.ports" -}}
{{- $ports := list -}}
{{- range . }}{{ $ports = append $ports (last (splitList ":" .)) }}{{ end -}}
{{ $ports | uniq | sortAlpha | join "," }}
{{- end -}}
