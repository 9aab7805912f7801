/* SPDX-License-Identifier: BSD-3-Clause
 * conf_file.h - every option, from tsnet.conf, the environment and defaults
 *
 * Order: built-in default < tsnet.conf < environment < explicit option (set
 * by tsrun through the environment). One table of options drives the parser,
 * so that the man page, tsnet.conf.example and this file can be checked
 * against each other by a test.
 */
#ifndef CORE_STATE_CONF_FILE_H
#define CORE_STATE_CONF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/log.h"
#include "core/broker/address_table.h"
#include "core/broker/option_rule.h"
#include "core/state/node_rules.h"

/* conf key          environment           default
 * hostname          TSNET_HOSTNAME        program name
 * auth_key          TS_AUTHKEY, TS_AUTH_KEY   - ("file:PATH" reads a file,
 *                                         "env:NAME" another variable)
 * client_secret     TS_CLIENT_SECRET      - (in the same forms)
 * client_id         TS_CLIENT_ID          -
 * id_token          TS_ID_TOKEN           - (in the same forms)
 * audience          TS_AUDIENCE           -
 * control_url       TS_CONTROL_URL        https://controlplane.tailscale.com
 * state_dir         TSNET_STATE_DIR       user's state directory/tsnet/HOSTNAME
 *                                         ("mem:" keeps it in memory,
 *                                         "kube:NAME" in that Secret, as
 *                                         TS_KUBE_SECRET does)
 * ephemeral         TSNET_EPHEMERAL       no
 * listen            TSNET_LISTEN          both
 * dns               TSNET_DNS             intercept
 * accept_dns        TSNET_ACCEPT_DNS      yes
 * accept_routes     TSNET_ACCEPT_ROUTES   no
 * advertise_routes  TSNET_ADVERTISE_ROUTES - (comma-separated prefixes)
 * advertise_exit_node TSNET_ADVERTISE_EXIT_NODE no
 * exit_node         TSNET_EXIT_NODE       - (name, IP, stable ID, auto:any)
 * exit_node_allow_lan_access TSNET_EXIT_NODE_ALLOW_LAN_ACCESS no
 * port              TSNET_PORT            0
 * endpoints         TSNET_ENDPOINTS       - (comma-separated IP:PORT)
 * tags              TSNET_TAGS            - (comma-separated tag:x)
 * wait              TSNET_WAIT            0 s
 * timeout           TSNET_TIMEOUT         60 s
 * log_file          TSNET_LOG_FILE        stderr
 * log_level         TSNET_LOG_LEVEL       warn
 * log_format        TSNET_LOG_FORMAT      text
 * metrics_listen    TSNET_METRICS_LISTEN  - (IP:PORT on loopback)
 * follow_exec       TSNET_FOLLOW_EXEC     yes
 * force_login       TSNET_FORCE_LOGIN     no
 * login_qr          TSNET_LOGIN_QR        no
 * direct            TSNET_DIRECT          yes
 * path_mtu          TSNET_PATH_MTU        yes
 * shields_up        TSNET_SHIELDS_UP      no
 * locked            TSNET_LOCKED          no
 * congestion        TSNET_CONGESTION      bbr
 * disable_portmapper TS_DISABLE_PORTMAPPER no
 * disable_upnp      TS_DISABLE_UPNP       no
 * proxy_listen      TSNET_PROXY_LISTEN    - (IP:PORT of loopback)
 * taildrop_dir      TSNET_TAILDROP_DIR    - (a directory)
 * acme_directory    TS_DEBUG_ACME_DIRECTORY_URL Let's Encrypt's
 * permit_cert_uid   TS_PERMIT_CERT_UID    - (a user's name or uid)
 * listen_tls        TSNET_LISTEN_TLS      - (comma-separated ports)
 * nodes             TSNET_NODES           - (sections, comma-separated)
 * destinations      TSNET_DESTINATIONS    - (what goes by this node)
 * listen_ports      TSNET_LISTEN_PORTS    - (what listens at this node alone)
 * interface         TSNET_INTERFACE       tailscaleN, by order
 * stand_ins         TSNET_STAND_INS       198.18.0.0/15,fd5a:6e1c:9b37::/64
 */
enum {
	TS_CONF_ENDPOINTS_MAX = 8,
	TS_CONF_ROUTES_MAX = 256,
	TS_CONF_TLS_PORTS_MAX = 16,
	TS_CONF_NODES_MAX = 8,
	TS_CONF_NODE_NAME_CAP = 64,
};
enum ts_cert_share { /* TS_CERT_SHARE_MODE, as upstream's replicas have it */
	TS_CERT_SHARE_NONE,
	TS_CERT_SHARE_READ,
	TS_CERT_SHARE_WRITE,
};
struct ts_program_ops;

struct ts_config {
	char *hostname, *auth_key, *control_url, *state_dir;
	char *client_secret, *client_id, *id_token, *audience;
	char *kube_secret;  /* a Secret's name, in place of state_dir */
	char *kube_account; /* TSNET_KUBE_ACCOUNT; NULL: where it always is */
	enum ts_cert_share cert_share;
	char *id_token_file; /* which had it; such files are written anew */
	char **secret_variables; /* which had secrets, by "env:NAME" */
	size_t secret_variable_count;
	/* By the table's index: each option as it was given, but secrets; for
	 * ts_config_changed(). */
	char **given;
	char **environment; /* to load it again (config_load.h), or NULL */
	bool has_default_server; /* control_url is nobody's choice */
	bool state_in_memory, ephemeral, accept_routes, force_login, login_qr;
	bool accept_dns;
	bool direct, path_mtu, shields_up, follow_exec, locked;
	bool disable_portmapper, disable_upnp;
	/* With both default routes when it is to be an exit node. */
	struct ts_prefix *advertise_routes;
	size_t advertise_route_count;
	bool advertise_exit_node;
	char *exit_node; /* NULL: none */
	bool exit_node_allow_lan_access;
	enum ts_listen_mode listen;
	enum ts_dns_mode dns;
	uint16_t port;
	struct ts_addr endpoints[TS_CONF_ENDPOINTS_MAX];
	size_t endpoint_count;
	struct ts_addr proxy_listen; /* port 0: none */
	char *taildrop_dir; /* for received files; NULL: in state_dir */
	char **tags;
	size_t tag_count;
	unsigned wait_s, timeout_s; /* wait 0: do not wait */
	char *log_file;
	enum ts_log_level log_level;
	enum ts_log_format log_format;
	struct ts_addr metrics_listen; /* port 0: nowhere */
	enum ts_cc congestion;
	char *acme_directory;
	char *permit_cert_uid; /* NULL or "": nobody else */
	uint16_t tls_ports[TS_CONF_TLS_PORTS_MAX];
	size_t tls_port_count;
	/* What the program does itself (core/engine/program_ops.h), set by whom
	 * it is told; NULL: nothing. */
	const struct ts_program_ops *program;
	/* Several nodes in one process, by the names of their sections. */
	char node_names[TS_CONF_NODES_MAX][TS_CONF_NODE_NAME_CAP];
	size_t node_name_count;
	char *node_name; /* the section that this is; NULL: none was named */
	struct ts_config *next; /* of such nodes; heap, NULL: no more */
	struct ts_node_rules rules;
	char *interface; /* NULL: by order */
	struct ts_prefix stand_in4, stand_in6;
};

/* env is "NAME=value"... NULL-terminated (environ); conf_text may be NULL.
 * read_file reads "file:" values (0 or negative errno; heap text). program is
 * argv[0]'s base name. On error: -EINVAL or -ENOENT, and err names the source,
 * the key and what is allowed. */
struct ts_config_input {
	const char *conf_text, *conf_path;
	size_t conf_len;
	char **env;
	const char *program;
	int (*read_file)(const char *path, char **out);
	bool skips_secrets; /* as if there were none */
	bool is_alone; /* `nodes` does not count */
};
/* The sections of tsnet.conf: none or [node] for every program, [node "NAME"]
 * for the program NAME alone, which wins. Where that says which `nodes` there
 * are to be, what is returned is the first of these, and the others behind it.
 */
int ts_config_load(struct ts_config *out, const struct ts_config_input *in,
		   char err[static 256]);
/* One row for each option, for the parser and for whoever checks the man page
 * and tsnet.conf.example against it. Texts are never NULL but env_alias. */
enum ts_config_kind {
	TS_CONF_TEXT,
	TS_CONF_HOSTNAME,
	TS_CONF_SECRET, /* or file:PATH, env:NAME; never shown */
	TS_CONF_URL,
	TS_CONF_DIR,
	TS_CONF_BOOL,
	TS_CONF_PORT,
	TS_CONF_SECONDS,
	TS_CONF_LISTEN,
	TS_CONF_DNS,
	TS_CONF_ENDPOINTS,
	TS_CONF_TAGS,
	TS_CONF_ROUTES,
	TS_CONF_LOG_LEVEL,
	TS_CONF_LOG_FORMAT,
	TS_CONF_LOOPBACK,
	TS_CONF_CONGESTION,
	TS_CONF_TLS_PORTS,
	TS_CONF_NODES,
	TS_CONF_DESTINATIONS,
	TS_CONF_PORTS,
	TS_CONF_INTERFACE,
	TS_CONF_STAND_INS,
};
struct ts_config_option {
	const char *key, *env, *env_alias;
	enum ts_config_kind kind;
	const char *fallback; /* the default; "": none, or found out */
	const char *allowed;  /* what values are allowed, in words */
	size_t offset;	      /* in struct ts_config */
};
const struct ts_config_option *ts_config_options(size_t *count);
/* Was that option of the table given otherwise? Secrets never were. */
bool ts_config_changed(const struct ts_config *a, const struct ts_config *b,
		       size_t option);
void ts_config_deinit(struct ts_config *config); /* wipes the secrets */
/* Default directory: $STATE_DIRECTORY, or $XDG_STATE_HOME/tsnet/HOSTNAME, or
 * ~/.local/state/tsnet/HOSTNAME; NULL when no home is known. Heap. */
char *ts_config_default_state_dir(char **env, const char *hostname);
/* A DNS label made of text (lower case, a-z0-9-, at most 63). Heap. */
char *ts_config_sanitize_hostname(const char *text);

#endif
