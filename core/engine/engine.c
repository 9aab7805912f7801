/* SPDX-License-Identifier: BSD-3-Clause
 * engine.c - composition root: one node and one host on one loop
 *
 * Opening goes bottom up (state, loop, sockets, node, host, LocalAPI) and
 * closing top down; nothing here waits for the network, but for a state that is
 * kept there (state_store.h). The end has phases,
 * each with a limit: deliver what programs have written, tell the server that
 * an ephemeral node leaves and the gateway that its port is free, see that the
 * state is kept, stop the loop.
 */
#include "core/engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/engine/auth_source.h"
#include "core/engine/certs.h"
#include "core/engine/engine_internal.h"
#include "core/engine/local_server.h"
#include "core/engine/local_server_metrics.h"
#include "core/engine/log_sink.h"
#include "core/host/proxy.h"

enum {
	DRAIN_MS = 5000,
	/* For peers to answer a FIN: a reset would take from their programs
	 * what those have not read yet. */
	LINGER_MS = 300,
	/* Other processes' connections had this long to end. */
	OTHERS_MS = 1000,
	LOGOUT_MS = 5000,
	UNMAP_MS = 1100, /* the mapper has limits of its own */
	SAVE_MS = 5000,
	DRAIN_POLL_MS = 10,
};

static void before_sleep(void *ctx)
{
	struct ts_engine *engine = ctx;

	if (!engine->node) /* its state is being loaded */
		return;
	ts_timer_set(engine->node_timer, ts_node_deadline_ms(engine->node));
}

static void on_node_timer(void *ctx)
{
	struct ts_engine *engine = ctx;

	ts_node_tick(engine->node, ts_loop_now_ms(engine->loop));
}

static void on_network_change(void *ctx)
{
	struct ts_engine *engine = ctx;

	log_info("node-%s: the network changed", engine->config.hostname);
	engine_publish_endpoints(engine);
	engine_leave_stranded(engine);
	ts_node_network_changed(engine->node, ts_loop_now_ms(engine->loop));
}

/* -- opening -------------------------------------------------------------- */
static int open_loop(struct ts_engine *engine)
{
	engine->loop = ts_loop_new();
	if (!engine->loop)
		return -ENOMEM;
	engine->resolver = ts_resolver_new(engine->loop);
	engine->http = ts_http_client_new(engine->loop);
	engine->node_timer =
		ts_timer_new(engine->loop, on_node_timer, engine);
	if (!engine->resolver || !engine->http || !engine->node_timer)
		return -ENOMEM;
	/* The first: the node's deadline is known once all others ran. */
	return ts_loop_before_sleep(engine->loop, before_sleep, engine);
}

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

static int open_host(struct ts_engine *engine, char err[static 256])
{
	uint8_t random[16];
	char hex[2 * sizeof(random) + 1];
	struct ts_host_config hc = {
		.socket_path = engine->socket_path,
		.localapi_path = engine->localapi_path,
		.abstract_name = engine->abstract_name,
		.listen = engine->config.listen,
		.dns = engine->config.dns,
		.doh = &engine_doh_ops,
		.doh_ctx = engine,
		.tls_client = &engine_tls_client_ops,
		.tls_ports = engine->config.tls_ports,
		.tls_port_count = engine->config.tls_port_count,
		.timeout_s = engine->config.timeout_s,
		.in_process = engine->place != TS_ENGINE_ALONE,
		.shares_files = engine->place == TS_ENGINE_SHARES_FILES,
	};

	ts_random_bytes(random, sizeof(random));
	snprintf(engine->abstract_name, sizeof(engine->abstract_name),
		 "tsnet/%s", ts_hex_encode(random, sizeof(random), hex));
	snprintf(engine->socket_path, sizeof(engine->socket_path),
		 "%s/broker.sock", engine->store.dir);
	snprintf(engine->localapi_path, sizeof(engine->localapi_path),
		 "%s/tailscaled.sock", engine->store.dir);
	engine->host = ts_host_open(engine->loop, engine->node, &hc, err);
	if (!engine->host)
		return -ENETDOWN;
	engine->member = ts_host_first(engine->host);
	ts_host_set_certs(engine->member, &engine_cert_ops, engine);
	ts_http_client_set_tunnel(engine->http, &engine_doh_tunnel, engine);
	return 0;
}

/* As tsnet says it. */
static void tell_ignored_key(const struct ts_engine *engine,
			     const struct ts_prefs *prefs)
{
	if (!engine->config.force_login &&
	    !ts_private_key_is_zero(&prefs->persist.node_key) &&
	    auth_source_given(engine->auth))
		log_info("node-%s: the auth key is used only if the server "
			 "asks for a new login, since the node is known: "
			 "TSNET_FORCE_LOGIN=1 uses it now",
			 engine->config.hostname);
}

static int open_parts(struct ts_engine *engine, char err[static 256])
{
	struct ts_private_key machine_key;
	struct ts_prefs prefs;
	int code = open_loop(engine);

	ts_prefs_init_default(&prefs);
	snprintf(err, 256, "cannot start the node: out of memory");
	if (!code)
		code = profile_store_open(&engine->store, &engine->config,
					  engine->loop, engine->http,
					  &machine_key, &prefs, err);
	if (!code) {
		code = auth_source_open(engine, err);
	}
	if (!code) {
		tell_ignored_key(engine, &prefs);
		engine->node =
			engine_make_node(engine, &machine_key, &prefs,
					 auth_source_given(engine->auth));
		code = engine->node ? 0 : -ENOMEM;
		if (code)
			snprintf(err, 256, "cannot start the node: %s",
				 ts_strerror(code));
	}
	ts_wipe(&machine_key, sizeof(machine_key));
	ts_prefs_deinit(&prefs);
	if (code)
		return code;
	engine->udp = ts_udp_port_open(engine->loop, engine->config.port,
				       engine_on_udp, engine, &code);
	if (engine->udp) {
		ts_udp_port_on_refused(engine->udp, engine_on_udp_refused);
		ts_udp_port_on_reuse(engine->udp, engine_on_udp_reuse);
	} else {
		log_warn("node-%s: no UDP socket, relayed paths only: %s",
			 engine->config.hostname, ts_strerror(code));
	}
	code = engine_open_mapper(engine);
	if (!code)
		code = certs_open(engine);
	if (!code)
		code = open_host(engine, err);
	if (!code)
		code = engine_open_proxy_port(engine, err);
	if (!code)
		code = engine_open_localapi(engine, err);
	/* Of several nodes with one configuration the first has the port. */
	if (!code && metrics_server_open(&engine->metrics, engine, err))
		log_warn("node-%s: no metrics: %s", engine->config.hostname,
			 err);
	return code;
}

int ts_engine_open(struct ts_engine **out, struct ts_config *config,
		   enum ts_engine_place place, char err[static 256])
{
	struct ts_engine *engine = calloc(1, sizeof(*engine));
	int code = engine ? ts_crypto_init() : -ENOMEM;

	if (code) {
		snprintf(err, 256, "cannot start: %s", ts_strerror(code));
		free(engine);
		return code;
	}
	engine->config = *config;
	memset(config, 0, sizeof(*config));
	engine->place = place;
	engine->store.lock_fd = -1;
	code = log_sink_open(&engine->config, err);
	if (!code && place == TS_ENGINE_OWN_FILES)
		log_sink_follow_program();
	if (!code)
		code = open_parts(engine, err);
	if (code) {
		ts_engine_close(engine);
		return code;
	}
	engine->monitor = ts_net_monitor_open(engine->loop, on_network_change,
					      engine);
	engine_publish_endpoints(engine);
	ts_node_start(engine->node, ts_loop_now_ms(engine->loop));
	*out = engine;
	return 0;
}

void ts_engine_close(struct ts_engine *engine)
{
	if (!engine)
		return;
	metrics_server_close(engine->metrics);
	engine_close_localapi(engine);
	certs_close(engine);
	engine_close_proxy_port(engine);
	auth_source_close(engine->auth);
	if (engine->host)
		ts_host_close(engine->host);
	engine->host = NULL;
	ts_node_free(engine->node);
	engine->node = NULL;
	engine_io_close(engine);
	ts_net_monitor_close(engine->monitor);
	ts_port_mapper_free(engine->mapper);
	if (engine->udp)
		ts_udp_port_close(engine->udp);
	profile_store_close(&engine->store); /* may have a request */
	if (engine->http)
		ts_http_client_free(engine->http);
	if (engine->resolver)
		ts_resolver_free(engine->resolver);
	ts_timer_free(engine->node_timer);
	ts_timer_free(engine->stop_timer);
	ts_timer_free(engine->expiry_timer);
	if (engine->loop)
		ts_loop_free(engine->loop);
	ts_config_deinit(&engine->config);
	free(engine);
}

void ts_engine_run(struct ts_engine *engine)
{
	ts_loop_run(engine->loop);
}

/* -- the end -------------------------------------------------------------- */
static void end(struct ts_engine *engine)
{
	engine->phase = ENGINE_ENDED;
	ts_loop_stop(engine->loop);
}

/* Begun before the logout, and seldom not over by now. */
static void start_unmapping(struct ts_engine *engine, uint64_t now_ms)
{
	engine->phase = ENGINE_UNMAPPING;
	engine->phase_end_ms = now_ms + UNMAP_MS;
}

static void start_saving(struct ts_engine *engine, uint64_t now_ms)
{
	engine->phase = ENGINE_SAVING;
	engine->phase_end_ms = now_ms + SAVE_MS;
	state_store_finish(engine->store.kept);
}

static bool logged_out(const struct ts_engine *engine)
{
	return ts_node_state(engine->node) != TS_RUNNING &&
	       ts_node_state(engine->node) != TS_STARTING;
}

static void start_logout(struct ts_engine *engine, uint64_t now_ms)
{
	engine_release_mapper(engine);
	if (!engine->config.ephemeral || !ts_node_netmap(engine->node)->self) {
		start_unmapping(engine, now_ms);
		return;
	}
	engine->phase = ENGINE_LOGGING_OUT;
	engine->phase_end_ms = now_ms + LOGOUT_MS;
	ts_node_logout(engine->node, now_ms);
}

/* All is delivered, and the connections have ended on both sides, or had the
 * time to. */
static bool is_drained(struct ts_engine *engine, uint64_t now_ms)
{
	if (engine->place != TS_ENGINE_ALONE) {
		ts_host_finish(engine->host);
		if (ts_host_serves_others(engine->host) &&
		    now_ms + DRAIN_MS < engine->phase_end_ms + OTHERS_MS)
			return false;
	}
	if (ts_host_undelivered(engine->host) > 0)
		return false;
	if (engine->linger_end_ms == 0)
		engine->linger_end_ms = now_ms + LINGER_MS;
	return !ts_host_is_lingering(engine->host) ||
	       now_ms >= engine->linger_end_ms;
}

static void on_stop_timer(void *ctx)
{
	struct ts_engine *engine = ctx;
	uint64_t now_ms = ts_loop_now_ms(engine->loop);
	bool late = now_ms >= engine->phase_end_ms;

	if (engine->phase == ENGINE_DRAINING &&
	    (late || is_drained(engine, now_ms)))
		start_logout(engine, now_ms);
	else if (engine->phase == ENGINE_LOGGING_OUT &&
		 (late || logged_out(engine)))
		start_unmapping(engine, now_ms);
	if (engine->phase == ENGINE_UNMAPPING &&
	    (engine_is_unmapped(engine) || now_ms >= engine->phase_end_ms))
		start_saving(engine, now_ms);
	if (engine->phase == ENGINE_SAVING &&
	    (state_store_is_finished(engine->store.kept) ||
	     now_ms >= engine->phase_end_ms))
		end(engine);
	if (engine->phase != ENGINE_ENDED)
		ts_timer_set(engine->stop_timer, now_ms + DRAIN_POLL_MS);
}

static void begin_stop(void *ctx)
{
	struct ts_engine *engine = ctx;

	if (engine->phase != ENGINE_UP)
		return;
	engine->phase = ENGINE_DRAINING;
	engine->phase_end_ms = ts_loop_now_ms(engine->loop) + DRAIN_MS;
	if (engine->place != TS_ENGINE_ALONE)
		ts_host_take_no_more(engine->host);
	engine->stop_timer =
		ts_timer_new(engine->loop, on_stop_timer, engine);
	if (engine->stop_timer)
		on_stop_timer(engine);
	else
		end(engine);
}

void ts_engine_stop(struct ts_engine *engine)
{
	if (ts_loop_post(engine->loop, begin_stop, engine))
		ts_loop_stop(engine->loop);
}

void ts_engine_disown(struct ts_engine *engine)
{
	if (engine->store.lock_fd >= 0)
		close(engine->store.lock_fd);
	engine->store.lock_fd = -1;
	ts_host_disown();
}

void ts_engine_watch_state(struct ts_engine *engine, ts_engine_state_fn fn,
			   void *ctx)
{
	engine->state_fn = fn;
	engine->state_ctx = ctx;
}

int ts_engine_open_proxy(struct ts_engine *engine, bool with_localapi,
			 struct ts_proxy_access *out)
{
	return ts_proxy_open(engine->member, NULL,
			     with_localapi ? engine->localapi_path : NULL, out);
}

const char *ts_engine_broker_path(const struct ts_engine *engine)
{
	return engine->socket_path;
}

const char *ts_engine_broker_abstract(const struct ts_engine *engine)
{
	return engine->abstract_name;
}

const char *ts_engine_localapi_path(const struct ts_engine *engine)
{
	return engine->localapi_path;
}

struct ts_loop *ts_engine_loop(const struct ts_engine *engine)
{
	return engine->loop;
}

struct ts_node *ts_engine_node(const struct ts_engine *engine)
{
	return engine->node;
}

struct ts_host *ts_engine_host(const struct ts_engine *engine)
{
	return engine->host;
}
