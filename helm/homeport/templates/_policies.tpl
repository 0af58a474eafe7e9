{{- /* Who may read metrics. Called with (list root port). */ -}}
{{- define "homeport.metricsIngress" -}}
- ports:
    - {port: {{ index . 1 }}, protocol: TCP}
  from:
    {{- with (index . 0).Values.networkPolicy.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    - namespaceSelector: {}
    {{- end }}
{{- end -}}

{{- /* What every pod may call: names are resolved, and what the values list for all. */ -}}
{{- define "homeport.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- with .Values.networkPolicy.egress.all }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Pods of this release that call its etcd, with commas. */ -}}
{{- define "homeport.etcdCallers" -}}
provisioner,etcd-password
{{- if and .Values.sharing.enabled .Values.sharing.tenantQuotas }},sharing{{ end -}}
{{- end -}}

{{- /* The store: the pods of this release, or the ports of the endpoints wherever they are, for a
policy knows no names. */ -}}
{{- define "homeport.storeEgress" -}}
{{- if .Values.etcd.enabled -}}
- ports: [{port: 2379, protocol: TCP}]
  to:
    - podSelector:
        matchLabels:
          {{- include "homeport.selector" (list . "etcd") | nindent 10 }}
{{- else -}}
{{- $endpoints := .Values.store.endpoints -}}
{{- range .Values.store.assignmentStores }}{{ $endpoints = concat $endpoints . }}{{ end -}}
- ports:
    {{- range include "homeport.ports" $endpoints | splitList "," }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}
{{- end -}}
