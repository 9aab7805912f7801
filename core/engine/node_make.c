/* SPDX-License-Identifier: BSD-3-Clause
 * node_make.c - a node, as this machine and the settings want it
 *
 * What the control server is told of the machine (Hostinfo) begins here: its
 * system, its version, whether it is a container. A change of profile makes a
 * node anew, with other keys (node_switch.c).
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/crypto/secret.h"
#include "core/engine/auth_source.h"
#include "core/engine/engine_internal.h"

static char *read_os_release(const char *key)
{
	FILE *f = fopen("/etc/os-release", "re");
	char line[256];
	char *found = NULL;

	while (f && !found && fgets(line, sizeof(line), f)) {
		size_t n = strlen(key);

		if (strncmp(line, key, n) != 0 || line[n] != '=')
			continue;
		line[strcspn(line, "\n")] = '\0';
		found = line[n + 1] == '"'
				? strndup(line + n + 2, strcspn(line + n + 2,
								"\""))
				: strdup(line + n + 1);
	}
	if (f)
		fclose(f);
	return found;
}

static bool can_bind_ipv6(void)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6,
				  .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 &&
		  bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

struct ts_node *engine_make_node(struct ts_engine *engine,
				 const struct ts_private_key *machine_key,
				 struct ts_prefs *prefs, const char *auth_key)
{
	struct ts_node *node;
	struct utsname uts = {0};
	char *distro = read_os_release("ID");
	char *version = read_os_release("VERSION_ID");
	struct ts_node_config nc = {
		.machine_key = *machine_key,
		.prefs = prefs,
		.control_url = engine->config.control_url,
		.backend_log_id = engine->store.backend_log_id,
		.auth_key = auth_key,
		.mints_auth_key = auth_key == NULL && !engine->node &&
				  auth_source_makes(engine->auth),
		.app = "tsnet-shim",
		.ephemeral = engine->config.ephemeral,
		.force_login = engine->config.force_login && !engine->node,
		.direct = engine->config.direct,
		.path_mtu = engine->config.path_mtu,
		.os_has_ipv6 = can_bind_ipv6(),
		.fixed_port = engine->config.port != 0,
		.endpoints = engine->config.endpoints,
		.endpoint_count = engine->config.endpoint_count,
		.congestion = ts_option_cc_name(engine->config.congestion),
		.distro = distro,
		.distro_version = version,
		.container = access("/.dockerenv", F_OK) == 0 ||
			     access("/run/.containerenv", F_OK) == 0,
	};

	nc.tka = engine_open_tka(engine, &nc.tka_is_damaged);
	uname(&uts);
	nc.os_version = uts.release;
	nc.machine_arch = uts.machine;
	node = ts_node_new(&nc, &engine_node_io, engine,
			   ts_loop_now_ms(engine->loop));
	if (node)
		engine_load_serve(engine, node);
	ts_wipe(&nc.machine_key, sizeof(nc.machine_key));
	free(distro);
	free(version);
	return node;
}
