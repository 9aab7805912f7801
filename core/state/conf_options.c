/* SPDX-License-Identifier: BSD-3-Clause
 * conf_options.c - the table of all options
 *
 * This is the only list of them: the parser, scripts/check-docs and a reload
 * (ts_config_changed()) go by it.
 */
#include "core/state/conf_options.h"

#include <stddef.h>
#include <string.h>

#include "core/base/err.h"

#define BOOL_VALUES "yes, no"

static const struct ts_config_option options[] = {
	{"hostname", "TSNET_HOSTNAME", NULL, TS_CONF_HOSTNAME, "",
	 "a name with letters or digits in it",
	 offsetof(struct ts_config, hostname)},
	{"auth_key", "TS_AUTHKEY", "TS_AUTH_KEY", TS_CONF_SECRET, "",
	 "a key, file:PATH or env:NAME", offsetof(struct ts_config, auth_key)},
	{"client_secret", "TS_CLIENT_SECRET", NULL, TS_CONF_SECRET, "",
	 "a secret, file:PATH or env:NAME",
	 offsetof(struct ts_config, client_secret)},
	{"client_id", "TS_CLIENT_ID", NULL, TS_CONF_TEXT, "", "an ID",
	 offsetof(struct ts_config, client_id)},
	{"id_token", "TS_ID_TOKEN", NULL, TS_CONF_SECRET, "",
	 "a token, file:PATH or env:NAME",
	 offsetof(struct ts_config, id_token)},
	{"audience", "TS_AUDIENCE", NULL, TS_CONF_TEXT, "", "a text",
	 offsetof(struct ts_config, audience)},
	{"control_url", "TS_CONTROL_URL", NULL, TS_CONF_URL,
	 "https://controlplane.tailscale.com", "http://HOST or https://HOST",
	 offsetof(struct ts_config, control_url)},
	{"state_dir", "TSNET_STATE_DIR", NULL, TS_CONF_DIR, "",
	 "a directory, mem:, or kube:NAME of a Secret",
	 offsetof(struct ts_config, state_dir)},
	{"ephemeral", "TSNET_EPHEMERAL", NULL, TS_CONF_BOOL, "no", BOOL_VALUES,
	 offsetof(struct ts_config, ephemeral)},
	{"listen", "TSNET_LISTEN", NULL, TS_CONF_LISTEN, "both",
	 "both, tailnet, host", offsetof(struct ts_config, listen)},
	{"dns", "TSNET_DNS", NULL, TS_CONF_DNS, "intercept", "intercept, host",
	 offsetof(struct ts_config, dns)},
	{"accept_dns", "TSNET_ACCEPT_DNS", NULL, TS_CONF_BOOL, "yes",
	 BOOL_VALUES, offsetof(struct ts_config, accept_dns)},
	{"accept_routes", "TSNET_ACCEPT_ROUTES", NULL, TS_CONF_BOOL, "no",
	 BOOL_VALUES, offsetof(struct ts_config, accept_routes)},
	{"advertise_routes", "TSNET_ADVERTISE_ROUTES", NULL, TS_CONF_ROUTES, "",
	 "prefixes, separated by commas",
	 offsetof(struct ts_config, advertise_routes)},
	{"advertise_exit_node", "TSNET_ADVERTISE_EXIT_NODE", NULL, TS_CONF_BOOL,
	 "no", BOOL_VALUES, offsetof(struct ts_config, advertise_exit_node)},
	{"exit_node", "TSNET_EXIT_NODE", NULL, TS_CONF_TEXT, "",
	 "a node's name, address or stable ID, or auto:any",
	 offsetof(struct ts_config, exit_node)},
	{"exit_node_allow_lan_access", "TSNET_EXIT_NODE_ALLOW_LAN_ACCESS", NULL,
	 TS_CONF_BOOL, "no", BOOL_VALUES,
	 offsetof(struct ts_config, exit_node_allow_lan_access)},
	{"port", "TSNET_PORT", NULL, TS_CONF_PORT, "0", "0 (any) to 65535",
	 offsetof(struct ts_config, port)},
	{"endpoints", "TSNET_ENDPOINTS", NULL, TS_CONF_ENDPOINTS, "",
	 "IP:PORT, at most 8, separated by commas",
	 offsetof(struct ts_config, endpoints)},
	{"tags", "TSNET_TAGS", NULL, TS_CONF_TAGS, "",
	 "tag:NAME, separated by commas", offsetof(struct ts_config, tags)},
	{"wait", "TSNET_WAIT", NULL, TS_CONF_SECONDS, "0",
	 "seconds, 0 to 86400", offsetof(struct ts_config, wait_s)},
	{"timeout", "TSNET_TIMEOUT", NULL, TS_CONF_SECONDS, "60",
	 "seconds, 0 to 86400", offsetof(struct ts_config, timeout_s)},
	{"log_file", "TSNET_LOG_FILE", NULL, TS_CONF_TEXT, "",
	 "a file, empty for stderr", offsetof(struct ts_config, log_file)},
	{"log_level", "TSNET_LOG_LEVEL", NULL, TS_CONF_LOG_LEVEL, "warn",
	 "off, error, warn, info, debug",
	 offsetof(struct ts_config, log_level)},
	{"log_format", "TSNET_LOG_FORMAT", NULL, TS_CONF_LOG_FORMAT, "text",
	 "text, json", offsetof(struct ts_config, log_format)},
	{"metrics_listen", "TSNET_METRICS_LISTEN", NULL, TS_CONF_LOOPBACK, "",
	 "IP:PORT on loopback", offsetof(struct ts_config, metrics_listen)},
	{"follow_exec", "TSNET_FOLLOW_EXEC", NULL, TS_CONF_BOOL, "yes",
	 BOOL_VALUES, offsetof(struct ts_config, follow_exec)},
	{"force_login", "TSNET_FORCE_LOGIN", NULL, TS_CONF_BOOL, "no",
	 BOOL_VALUES, offsetof(struct ts_config, force_login)},
	{"login_qr", "TSNET_LOGIN_QR", NULL, TS_CONF_BOOL, "no", BOOL_VALUES,
	 offsetof(struct ts_config, login_qr)},
	{"direct", "TSNET_DIRECT", NULL, TS_CONF_BOOL, "yes", BOOL_VALUES,
	 offsetof(struct ts_config, direct)},
	{"path_mtu", "TSNET_PATH_MTU", NULL, TS_CONF_BOOL, "yes", BOOL_VALUES,
	 offsetof(struct ts_config, path_mtu)},
	{"shields_up", "TSNET_SHIELDS_UP", NULL, TS_CONF_BOOL, "no",
	 BOOL_VALUES, offsetof(struct ts_config, shields_up)},
	{"locked", "TSNET_LOCKED", NULL, TS_CONF_BOOL, "no", BOOL_VALUES,
	 offsetof(struct ts_config, locked)},
	{"congestion", "TSNET_CONGESTION", NULL, TS_CONF_CONGESTION, "bbr",
	 "bbr, cubic", offsetof(struct ts_config, congestion)},
	{"disable_portmapper", "TS_DISABLE_PORTMAPPER", NULL, TS_CONF_BOOL,
	 "no", BOOL_VALUES, offsetof(struct ts_config, disable_portmapper)},
	{"disable_upnp", "TS_DISABLE_UPNP", NULL, TS_CONF_BOOL, "no",
	 BOOL_VALUES, offsetof(struct ts_config, disable_upnp)},
	{"proxy_listen", "TSNET_PROXY_LISTEN", NULL, TS_CONF_LOOPBACK, "",
	 "IP:PORT of loopback", offsetof(struct ts_config, proxy_listen)},
	{"taildrop_dir", "TSNET_TAILDROP_DIR", NULL, TS_CONF_TEXT, "",
	 "a directory", offsetof(struct ts_config, taildrop_dir)},
	{"listen_tls", "TSNET_LISTEN_TLS", NULL, TS_CONF_TLS_PORTS, "",
	 "ports, at most 16, separated by commas",
	 offsetof(struct ts_config, tls_ports)},
	{"acme_directory", "TS_DEBUG_ACME_DIRECTORY_URL", NULL, TS_CONF_URL,
	 "https://acme-v02.api.letsencrypt.org/directory",
	 "http://HOST/PATH or https://HOST/PATH",
	 offsetof(struct ts_config, acme_directory)},
	{"permit_cert_uid", "TS_PERMIT_CERT_UID", NULL, TS_CONF_TEXT, "",
	 "a user's name or number",
	 offsetof(struct ts_config, permit_cert_uid)},
	{"nodes", "TSNET_NODES", NULL, TS_CONF_NODES, "",
	 "at most 8 names of letters, digits, \".\", \"_\" and \"-\"",
	 offsetof(struct ts_config, node_names)},
	{"destinations", "TSNET_DESTINATIONS", NULL, TS_CONF_DESTINATIONS, "",
	 "addresses, CIDR prefixes, names and *.suffix, separated by commas",
	 offsetof(struct ts_config, rules)},
	{"listen_ports", "TSNET_LISTEN_PORTS", NULL, TS_CONF_PORTS, "",
	 "ports and FROM-TO, separated by commas",
	 offsetof(struct ts_config, rules)},
	{"interface", "TSNET_INTERFACE", NULL, TS_CONF_INTERFACE, "",
	 "a name of at most 15 characters that begins with tailscale",
	 offsetof(struct ts_config, interface)},
	{"stand_ins", "TSNET_STAND_INS", NULL, TS_CONF_STAND_INS,
	 "198.18.0.0/15,fd5a:6e1c:9b37::/64",
	 "an IPv4 prefix of 8 to 24 bits and an IPv6 one of 32 to 96",
	 offsetof(struct ts_config, stand_in4)},
};

_Static_assert((int)ARRAY_LEN(options) <= (int)TS_CONF_OPTIONS_MAX,
	       "every option has its bit");

const struct ts_config_option *ts_config_options(size_t *count)
{
	*count = ARRAY_LEN(options);
	return options;
}

static const char *given(const struct ts_config *config, size_t option)
{
	return config->given && config->given[option] ? config->given[option]
						      : "";
}

bool ts_config_changed(const struct ts_config *a, const struct ts_config *b,
		       size_t option)
{
	return strcmp(given(a, option), given(b, option)) != 0;
}

const struct ts_config_option *ts_conf_find_option(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(options[i].key, key) == 0)
			return &options[i];
	return NULL;
}
