{{- define "homeport.sharingTlsSecret" -}}
{{- if eq .Values.tls.source "secret" -}}
{{ required "tls.secrets.sharing names the Secret with the certificate of the data-sharing server" .Values.tls.secrets.sharing }}
{{- else -}}{{ include "homeport.fullname" . }}-sharing-tls{{- end -}}
{{- end -}}

{{- define "homeport.provisionerTlsSecret" -}}
{{- if eq .Values.tls.source "secret" -}}
{{ required "tls.secrets.provisioner names the Secret with the certificate of the provisioning servers" .Values.tls.secrets.provisioner }}
{{- else -}}{{ include "homeport.fullname" . }}-provisioner-tls{{- end -}}
{{- end -}}

{{- /* Settings of both servers that say who may call, as JSON. */ -}}
{{- define "homeport.access" -}}
{{- $all := dict -}}
{{- if ne .Values.tls.source "none" -}}
{{- $_ := set $all "tls_certificate" "/etc/homeport/tls/tls.crt" -}}
{{- $_ := set $all "tls_key" "/etc/homeport/tls/tls.key" -}}
{{- end -}}
{{- if .Values.tls.clientCa.secret -}}
{{- $_ := set $all "tls_client_ca" (printf "/etc/homeport/client-ca/%s" .Values.tls.clientCa.key) -}}
{{- end -}}
{{- if .Values.tokens.secret -}}
{{- $_ := set $all "tokens" (printf "/etc/homeport/tokens/%s" .Values.tokens.key) -}}
{{- end -}}
{{- if .Values.insecure -}}{{- $_ := set $all "insecure" true -}}{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- define "homeport.accessMounts" -}}
- {name: settings, mountPath: /etc/homeport/settings, readOnly: true}
{{- if ne .Values.tls.source "none" }}
- {name: tls, mountPath: /etc/homeport/tls, readOnly: true}
{{- end }}
{{- if .Values.tls.clientCa.secret }}
- {name: client-ca, mountPath: /etc/homeport/client-ca, readOnly: true}
{{- end }}
{{- if .Values.tokens.secret }}
- {name: tokens, mountPath: /etc/homeport/tokens, readOnly: true}
{{- end }}
{{- end -}}

{{- /* Called with (list root tls-secret settings-config-map). */ -}}
{{- define "homeport.accessVolumes" -}}
{{- $root := index . 0 -}}
- name: settings
  configMap: {name: {{ index . 2 }}}
- {name: tmp, emptyDir: {}}
{{- if ne $root.Values.tls.source "none" }}
{{ include "homeport.secretVolume" (list "tls" (index . 1)) }}
{{- end }}
{{- with $root.Values.tls.clientCa.secret }}
{{ include "homeport.secretVolume" (list "client-ca" .) }}
{{- end }}
{{- with $root.Values.tokens.secret }}
{{ include "homeport.secretVolume" (list "tokens" .) }}
{{- end }}
{{- end -}}

{{- define "homeport.provisionerSettings" -}}
{{- $v := .Values -}}
{{- $store := fromJson (include "homeport.store" .) -}}
{{- $scheme := ternary "etcds" "etcd" $store.tls -}}
{{- $all := dict "listen" "0.0.0.0:7700" "metrics_listen" "0.0.0.0:7701" -}}
{{- $clusters := list -}}
{{- range $name, $endpoints := $v.store.assignmentStores -}}
{{- $clusters = append $clusters (printf "%s=%s://%s" $name $scheme (join "," $endpoints)) -}}
{{- end -}}
{{- if $clusters }}{{ $_ := set $all "assignment_stores" (join ";" $clusters) }}{{ end -}}
{{- $all = merge $all (fromJson (include "homeport.storeAccess" .)) -}}
{{- if $v.keys.wrappingSecret }}{{ $_ := set $all "key_wrapping_file" (printf "/etc/homeport/wrapping/%s" $v.keys.wrappingKey) }}{{ end -}}
{{- if $v.keys.passphraseSecret }}{{ $_ := set $all "key_wrapping_passphrase_file" (printf "/etc/homeport/passphrase/%s" $v.keys.passphraseKey) }}{{ end -}}
{{- if $v.keys.masterSecret }}{{ $_ := set $all "master_key_file" (printf "/etc/homeport/master-keys/%s" $v.keys.masterKey) }}{{ end -}}
{{- if $v.keys.pepperSecret }}{{ $_ := set $all "directory_pepper_file" (printf "/etc/homeport/peppers/%s" $v.keys.pepperKey) }}{{ end -}}
{{- if $v.units.caSecret }}{{ $_ := set $all "unit_ca" (printf "/etc/homeport/unit-ca/%s" $v.units.caKey) }}{{ end -}}
{{- if $v.units.certificateSecret -}}
{{- $_ := set $all "unit_certificate" "/etc/homeport/unit-certificate/tls.crt" -}}
{{- $_ := set $all "unit_key" "/etc/homeport/unit-certificate/tls.key" -}}
{{- end -}}
{{- if $v.geo.volume }}{{ $_ := set $all "geo" (printf "/etc/homeport/geo/%s" $v.geo.file) }}{{ end -}}
{{- if $v.geo.overrides }}{{ $_ := set $all "geo_overrides" "/etc/homeport/settings/geo-overrides.yaml" }}{{ end -}}
{{- if $v.provisioner.http.enabled }}{{ $_ := set $all "http_listen" "0.0.0.0:7702" }}{{ end -}}
{{- if $v.provisioner.pages.enabled -}}
{{- if not $v.provisioner.pages.hosts }}{{ fail "provisioner.pages.hosts says at which hosts names are served, and of which tenant" }}{{ end -}}
{{- $_ := set $all "directory_http_listen" "0.0.0.0:7706" -}}
{{- $_ := set $all "directory_hosts" $v.provisioner.pages.hosts -}}
{{- end -}}
{{- if $v.provisioner.snapshot }}{{ $_ := set $all "snapshot" "/var/lib/homeport/snapshot/provisioner" }}{{ end -}}
{{- toToml (merge $all (fromJson (include "homeport.access" .)) $v.provisioner.settings) -}}
{{- end -}}

{{- /* name and Secret of what a caller of the store reads at its start, as JSON. */ -}}
{{- define "homeport.storeSecrets" -}}
{{- $found := dict -}}
{{- $store := fromJson (include "homeport.store" .) -}}
{{- with $store.password }}{{ $_ := set $found "store-password" . }}{{ end -}}
{{- if $store.tls -}}
{{- with $store.ca }}{{ $_ := set $found "store-ca" . }}{{ end -}}
{{- with $store.certificate }}{{ $_ := set $found "store-certificate" . }}{{ end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- /* name, secret and mount of what the provisioning servers read at their start alone. */ -}}
{{- define "homeport.provisionerSecrets" -}}
{{- $v := .Values -}}
{{- $found := fromJson (include "homeport.storeSecrets" .) -}}
{{- with $v.keys.wrappingSecret }}{{ $_ := set $found "wrapping" . }}{{ end -}}
{{- with $v.keys.passphraseSecret }}{{ $_ := set $found "passphrase" . }}{{ end -}}
{{- with $v.keys.masterSecret }}{{ $_ := set $found "master-keys" . }}{{ end -}}
{{- with $v.keys.pepperSecret }}{{ $_ := set $found "peppers" . }}{{ end -}}
{{- with $v.units.caSecret }}{{ $_ := set $found "unit-ca" . }}{{ end -}}
{{- with $v.units.certificateSecret }}{{ $_ := set $found "unit-certificate" . }}{{ end -}}
{{- toJson $found -}}
{{- end -}}

{{- /* Of those volumes, the key that is mounted alone: a CA's Secret may hold private keys as well. */ -}}
{{- define "homeport.provisionerKeys" -}}
{{- $store := fromJson (include "homeport.store" .) -}}
{{- toJson (dict "store-password" $store.passwordKey "store-ca" $store.caKey "unit-ca" .Values.units.caKey "feeds-ca" .Values.sharing.feeds.caKey) -}}
{{- end -}}

{{- /* The same of the data-sharing server. */ -}}
{{- define "homeport.sharingSecrets" -}}
{{- $found := dict -}}
{{- if .Values.sharing.tenantQuotas }}{{ $found = fromJson (include "homeport.storeSecrets" .) }}{{ end -}}
{{- with .Values.keys.wrappingSecret }}{{ $_ := set $found "wrapping" . }}{{ end -}}
{{- with .Values.keys.passphraseSecret }}{{ $_ := set $found "passphrase" . }}{{ end -}}
{{- with .Values.keys.signingSecret }}{{ $_ := set $found "signing" . }}{{ end -}}
{{- if .Values.sharing.feeds.servers -}}
{{- with .Values.sharing.feeds.credentialsSecret }}{{ $_ := set $found "feeds-credentials" . }}{{ end -}}
{{- with .Values.sharing.feeds.caSecret }}{{ $_ := set $found "feeds-ca" . }}{{ end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "homeport.sharingSettings" -}}
{{- $all := dict "listen" "0.0.0.0:7703" "http_listen" "0.0.0.0:7704" "metrics_listen" "0.0.0.0:7705" "data_dir" "/var/lib/homeport/data" -}}
{{- if .Values.sharing.tenantQuotas }}{{ $all = merge $all (fromJson (include "homeport.storeAccess" .)) }}{{ end -}}
{{- with .Values.keys -}}
{{- if .signingSecret }}{{ $_ := set $all "signing_key" (printf "/etc/homeport/signing/%s" .signingKey) }}{{ end -}}
{{- if .wrappingSecret }}{{ $_ := set $all "key_wrapping_file" (printf "/etc/homeport/wrapping/%s" .wrappingKey) }}{{ end -}}
{{- if .passphraseSecret }}{{ $_ := set $all "key_wrapping_passphrase_file" (printf "/etc/homeport/passphrase/%s" .passphraseKey) }}{{ end -}}
{{- end -}}
{{- with .Values.sharing.feeds -}}
{{- if .servers -}}
{{- if not $.Values.keys.signingSecret }}{{ fail "sharing.feeds.servers needs keys.signingSecret: whichever pod serves signs with the same key" }}{{ end -}}
{{- $_ := set $all "feeds" .servers -}}
{{- if .monitoring }}{{ $_ := set $all "feeds_monitoring" .monitoring }}{{ end -}}
{{- if .credentialsSecret }}{{ $_ := set $all "feeds_credentials" (printf "/etc/homeport/feeds-credentials/%s" .credentialsKey) }}{{ end -}}
{{- if .caSecret }}{{ $_ := set $all "feeds_ca" (printf "/etc/homeport/feeds-ca/%s" .caKey) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toToml (merge $all (fromJson (include "homeport.access" .)) .Values.sharing.settings) -}}
{{- end -}}

{{- define "homeport.platformSettings" -}}
{{- $p := .Values.platform -}}
{{- $server := $p.server -}}
{{- if not $server -}}
{{- if not .Values.sharing.enabled }}{{ fail "platform.server names the data-sharing servers, where sharing.enabled is not set" }}{{ end -}}
{{- $server = printf "%s-sharing.%s.svc:7703" (include "homeport.fullname" .) .Release.Namespace -}}
{{- end -}}
{{- if not $p.settings.applications }}{{ fail "platform.settings.applications names what the platform hosts" }}{{ end -}}
{{- $all := dict "name" $p.name "server" $server "data_dir" "/var/lib/homeport/data" "ready_file" "/tmp/ready.json" "metrics_listen" "0.0.0.0:7707" -}}
{{- if $p.token.secret }}{{ $_ := set $all "token_file" (printf "/etc/homeport/token/%s" $p.token.key) }}{{ end -}}
{{- if or $p.caSecret (ne .Values.tls.source "none") }}{{ $_ := set $all "ca" "/etc/homeport/ca/ca.crt" }}{{ end -}}
{{- if $p.certificateSecret -}}
{{- $_ := set $all "certificate" "/etc/homeport/certificate/tls.crt" -}}
{{- $_ := set $all "certificate_key" "/etc/homeport/certificate/tls.key" -}}
{{- end -}}
{{- if $p.instructionKeys }}{{ $_ := set $all "instruction_keys" "/etc/homeport/instruction-keys/keys.json" }}{{ end -}}
{{- toToml (merge $all $p.settings) -}}
{{- end -}}

{{- /* The store, whether it is of this release or not, as JSON: endpoints, tls, user, Secrets. */ -}}
{{- define "homeport.store" -}}
{{- $v := .Values.store -}}
{{- if .Values.etcd.enabled -}}
{{- range $said, $is := dict "endpoints" $v.endpoints "assignmentStores" $v.assignmentStores "user" $v.user "password.secret" $v.password.secret "tls.caSecret" $v.tls.caSecret "tls.certificateSecret" $v.tls.certificateSecret -}}
{{- if $is }}{{ fail (printf "with etcd.enabled the store is that of the release: leave out store.%s" $said) }}{{ end -}}
{{- end -}}
{{- if not $v.tls.enabled }}{{ fail "with etcd.enabled the store is reached over TLS: leave out store.tls.enabled" }}{{ end -}}
{{- $endpoints := list -}}
{{- range $host := splitList "," (include "homeport.etcdHosts" .) }}{{ $endpoints = append $endpoints (printf "%s:2379" $host) }}{{ end -}}
{{- toJson (dict "endpoints" $endpoints "tls" true "user" "root" "password" (include "homeport.etcdPasswordSecret" .) "passwordKey" .Values.etcd.password.key "ca" (include "homeport.etcdTlsSecret" .) "caKey" "ca.crt" "certificate" "") -}}
{{- else -}}
{{- $password := "" -}}
{{- if $v.user }}{{ $password = required "store.password.secret names the Secret with the password of store.user" $v.password.secret }}{{ end -}}
{{- toJson (dict "endpoints" $v.endpoints "tls" $v.tls.enabled "user" $v.user "password" $password "passwordKey" $v.password.key "ca" $v.tls.caSecret "caKey" $v.tls.caKey "certificate" $v.tls.certificateSecret) -}}
{{- end -}}
{{- end -}}

{{- /* Settings that say which store it is, who calls it, and whom to trust there, as JSON. */ -}}
{{- define "homeport.storeAccess" -}}
{{- $store := fromJson (include "homeport.store" .) -}}
{{- if not $store.endpoints }}{{ fail "store.endpoints names etcd, as host:port; or say etcd.enabled" }}{{ end -}}
{{- $all := dict "store" (printf "%s://%s" (ternary "etcds" "etcd" $store.tls) (join "," $store.endpoints)) -}}
{{- if $store.user -}}
{{- $_ := set $all "store_user" $store.user -}}
{{- $_ := set $all "store_password_file" (printf "/etc/homeport/store-password/%s" $store.passwordKey) -}}
{{- end -}}
{{- if and $store.tls $store.ca }}{{ $_ := set $all "store_ca" (printf "/etc/homeport/store-ca/%s" $store.caKey) }}{{ end -}}
{{- if and $store.tls $store.certificate -}}
{{- $_ := set $all "store_certificate" "/etc/homeport/store-certificate/tls.crt" -}}
{{- $_ := set $all "store_key" "/etc/homeport/store-certificate/tls.key" -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}
