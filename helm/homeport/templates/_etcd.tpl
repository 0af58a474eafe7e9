{{- define "homeport.etcdName" -}}
{{ include "homeport.fullname" . }}-etcd
{{- end -}}

{{- /* The members by the names that all pods know them by, with commas. */ -}}
{{- define "homeport.etcdHosts" -}}
{{- $name := include "homeport.etcdName" . -}}
{{- range $number := until 3 -}}
{{- if $number }},{{ end }}{{ $name }}-{{ $number }}.{{ $name }}.{{ $.Release.Namespace }}.svc
{{- end -}}
{{- end -}}

{{- /* The name that members know each other's certificates by, beside those of the members. */ -}}
{{- define "homeport.etcdHost" -}}
{{ include "homeport.etcdName" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "homeport.etcdTlsSource" -}}
{{- $source := default .Values.tls.source .Values.etcd.tls.source -}}
{{- if eq $source "none" }}{{ fail "etcd has TLS of its own, behind a mesh too: etcd.tls.source says where its certificate comes from" }}{{ end -}}
{{ $source }}
{{- end -}}

{{- define "homeport.etcdTlsSecret" -}}
{{- if eq (include "homeport.etcdTlsSource" .) "secret" -}}
{{ required "etcd.tls.secret names the Secret with the certificate of etcd's members" .Values.etcd.tls.secret }}
{{- else -}}{{ include "homeport.etcdName" . }}-tls{{- end -}}
{{- end -}}

{{- define "homeport.etcdPasswordSecret" -}}
{{ default (printf "%s-password" (include "homeport.etcdName" .)) .Values.etcd.password.secret }}
{{- end -}}

{{- define "homeport.etcdImage" -}}
{{- with .Values.etcd.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* What of its Secrets the chart makes itself: it stays as it is, and rolls nothing. */ -}}
{{- define "homeport.madeSecrets" -}}
{{- $made := list -}}
{{- if .Values.etcd.enabled -}}
{{- if not .Values.etcd.password.secret }}{{ $made = append $made (include "homeport.etcdPasswordSecret" .) }}{{ end -}}
{{- if eq (include "homeport.etcdTlsSource" .) "generate" }}{{ $made = append $made (include "homeport.etcdTlsSecret" .) }}{{ end -}}
{{- end -}}
{{- toJson $made -}}
{{- end -}}

{{- /* The command line of a member; all but its name is the same for each. */ -}}
{{- define "homeport.etcdArguments" -}}
{{- $name := include "homeport.etcdName" . -}}
{{- $own := printf "$(POD_NAME).%s" (include "homeport.etcdHost" .) -}}
{{- $cluster := list -}}
{{- range $host := splitList "," (include "homeport.etcdHosts" .) -}}
{{- $cluster = append $cluster (printf "%s=https://%s:2380" (first (splitList "." $host)) $host) -}}
{{- end -}}
- --name=$(POD_NAME)
- --data-dir=/var/lib/etcd/data
- --listen-client-urls=https://0.0.0.0:2379
- --advertise-client-urls=https://{{ $own }}:2379
- --listen-peer-urls=https://0.0.0.0:2380
- --initial-advertise-peer-urls=https://{{ $own }}:2380
- --listen-metrics-urls=https://0.0.0.0:2381
- --initial-cluster={{ join "," $cluster }}
- --initial-cluster-token={{ .Release.Namespace }}-{{ $name }}
- --initial-cluster-state={{ .Values.etcd.initialClusterState }}
- --cert-file=/etc/etcd/tls/tls.crt
- --key-file=/etc/etcd/tls/tls.key
- --peer-cert-file=/etc/etcd/tls/tls.crt
- --peer-key-file=/etc/etcd/tls/tls.key
- --peer-trusted-ca-file=/etc/etcd/tls/ca.crt
- --peer-client-cert-auth
# An authority may sign more than members: who shows another name is none.
- --peer-cert-allowed-hostname={{ include "homeport.etcdHost" . }}
- --quota-backend-bytes={{ int64 .Values.etcd.quotaBytes }}
- --auto-compaction-mode=periodic
- --auto-compaction-retention={{ .Values.etcd.compaction }}
# Servers go by it when they say how old their view is.
- --watch-progress-notify-interval=5s
- --feature-gates=InitialCorruptCheck=true
{{- with .Values.etcd.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}
