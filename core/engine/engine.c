/* SPDX-License-Identifier: BSD-3-Clause
 * engine.c - composition root: nodes and one host on one loop
 *
 * Opening goes bottom up (state, loop, sockets, node, host, LocalAPI) and
 * closing top down; nothing here waits for the network, but for a state that is
 * kept there (state_store.h). The end is in engine_end.c.
 */
#include "core/engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/engine/auth_source.h"
#include "core/engine/certs.h"
#include "core/engine/drop_place.h"
#include "core/engine/engine_internal.h"
#include "core/engine/local_server.h"
#include "core/engine/local_server_metrics.h"
#include "core/engine/log_sink.h"
#include "core/host/proxy.h"
#include "core/io/link_cert.h"

static void before_sleep(void *ctx)
{
	for (struct ts_engine *e = ctx; e; e = e->next)
		if (e->node) /* else its state is being loaded */
			ts_timer_set(e->node_timer,
				     ts_node_deadline_ms(e->node));
}

static void on_node_timer(void *ctx)
{
	struct ts_engine *engine = ctx;

	ts_node_tick(engine->node, ts_loop_now_ms(engine->loop));
}

static void on_network_change(void *ctx)
{
	for (struct ts_engine *e = ctx; e; e = e->next) {
		log_info("node-%s: the network changed", e->config.hostname);
		engine_publish_endpoints(e);
		engine_leave_stranded(e);
		ts_node_network_changed(e->node, ts_loop_now_ms(e->loop));
	}
}

/* -- opening -------------------------------------------------------------- */

static int open_loop(struct ts_engine *engine)
{
	engine->loop = ts_loop_new();
	if (!engine->loop)
		return -ENOMEM;
	engine->resolver = ts_resolver_new(engine->loop);
	if (!engine->resolver)
		return -ENOMEM;
	/* The first: the node's deadline is known once all others ran. */
	return ts_loop_before_sleep(engine->loop, before_sleep, engine);
}

static struct ts_member_config member_config(struct ts_engine *engine)
{
	return (struct ts_member_config){
		/* One that is alone has the name that its peers know. */
		.name = engine->config.node_name ? engine->config.node_name
						 : engine->config.hostname,
		.interface = engine->config.interface,
		.localapi_path = engine->localapi_path,
		.listen = engine->config.listen,
		.rules = &engine->config.rules,
		.tls_ports = engine->config.tls_ports,
		.tls_port_count = engine->config.tls_port_count,
		.doh_ctx = engine,
	};
}

static int join_host(struct ts_engine *engine)
{
	const struct ts_member_config config = member_config(engine);

	engine->host = engine->first->host;
	engine->member = ts_host_add(engine->host, engine->node, &config);
	if (!engine->member)
		return -ENOMEM;
	ts_host_set_certs(engine->member, &engine_cert_ops, engine);
	return 0;
}

static int open_host(struct ts_engine *engine, char err[static 256])
{
	uint8_t random[16];
	char hex[2 * sizeof(random) + 1];
	struct ts_host_config hc = {
		.first = member_config(engine),
		.socket_path = engine->socket_path,
		.abstract_name = engine->abstract_name,
		.dns = engine->config.dns,
		.stand_in4 = engine->config.stand_in4,
		.stand_in6 = engine->config.stand_in6,
		.doh = &engine_doh_ops,
		.tls_client = &engine_tls_client_ops,
		.tls_client_ctx = engine,
		.timeout_s = engine->config.timeout_s,
		.in_process = engine->place != TS_ENGINE_ALONE,
		.shares_files = engine->place == TS_ENGINE_SHARES_FILES,
	};

	ts_random_bytes(random, sizeof(random));
	snprintf(engine->abstract_name, sizeof(engine->abstract_name),
		 "tsnet/%s", ts_hex_encode(random, sizeof(random), hex));
	snprintf(engine->socket_path, sizeof(engine->socket_path),
		 "%s/broker.sock", engine->store.dir);
	engine->host = ts_host_open(engine->loop, engine->node, &hc, err);
	if (!engine->host)
		return -ENETDOWN;
	engine->member = ts_host_first(engine->host);
	ts_host_set_certs(engine->member, &engine_cert_ops, engine);
	for (struct ts_engine *e = engine->next; e; e = e->next) {
		if (join_host(e)) {
			snprintf(err, 256, "out of memory");
			return -ENOMEM;
		}
	}
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

/* The state, the node and its sockets; not on the network yet. */
static int open_node(struct ts_engine *engine, char err[static 256])
{
	struct ts_private_key machine_key;
	struct ts_prefs prefs;
	int code;

	engine->node_timer = ts_timer_new(engine->loop, on_node_timer, engine);
	engine->http = ts_http_client_new(engine->loop);
	code = engine->node_timer && engine->http ? 0 : -ENOMEM;
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
	snprintf(engine->localapi_path, sizeof(engine->localapi_path),
		 "%s/tailscaled.sock", engine->store.dir);
	code = engine_open_mapper(engine);
	return code ? code : certs_open(engine);
}

/* What this machine's programs and peers ask the node by. */
static int open_doors(struct ts_engine *engine, char err[static 256])
{
	int code = engine_open_drop(engine);

	ts_http_client_set_tunnel(engine->http, &engine_doh_tunnel, engine);
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

/* Takes config's contents. */
static struct ts_engine *new_engine(struct ts_config *config,
				    enum ts_engine_place place)
{
	struct ts_engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	engine->first = engine;
	engine->config = *config;
	engine->config.next = NULL;
	config->next = NULL;
	memset(config, 0, sizeof(*config));
	engine->place = place;
	engine->store.lock_fd = -1;
	return engine;
}

/* An engine for each further node; takes what is in rest. */
static int add_engines(struct ts_engine *first, struct ts_config *rest)
{
	struct ts_engine *last = first;

	while (rest) {
		struct ts_config *next = rest->next;

		last->next = new_engine(rest, first->place);
		if (!last->next)
			break;
		last = last->next;
		last->first = first;
		last->loop = first->loop;
		last->resolver = first->resolver;
		free(rest);
		rest = next;
	}
	if (!rest)
		return 0;
	ts_config_deinit(rest);
	free(rest);
	return -ENOMEM;
}

/* The sockets of all nodes before the host, so that what it sends before the
 * loop sleeps leaves in the same turn. */
static int open_parts(struct ts_engine *engine, struct ts_config *rest,
		      char err[static 256])
{
	int code = open_loop(engine);
	int more = add_engines(engine, rest);

	snprintf(err, 256, "cannot start the node: out of memory");
	code = code ? code : more;
	for (struct ts_engine *e = engine; !code && e; e = e->next)
		code = open_node(e, err);
	if (!code)
		code = open_host(engine, err);
	for (struct ts_engine *e = engine; !code && e; e = e->next)
		code = open_doors(e, err);
	return code;
}

static void forget(struct ts_config *rest)
{
	if (rest)
		ts_config_deinit(rest);
	free(rest);
}

int ts_engine_open(struct ts_engine **out, struct ts_config *config,
		   enum ts_engine_place place, char err[static 256])
{
	struct ts_config *rest = config->next;
	int code = ts_crypto_init();
	struct ts_engine *engine = code ? NULL : new_engine(config, place);

	if (!engine) {
		code = code ? code : -ENOMEM;
		snprintf(err, 256, "cannot start: %s", ts_strerror(code));
		return code;
	}
	code = log_sink_open(&engine->config, err);
	if (!code && place == TS_ENGINE_OWN_FILES)
		log_sink_follow_program();
	if (!code)
		code = open_parts(engine, rest, err);
	else
		forget(rest);
	if (code) {
		ts_engine_close(engine);
		return code;
	}
	engine->monitor = ts_net_monitor_open(engine->loop, on_network_change,
					      engine);
	for (struct ts_engine *e = engine; e; e = e->next) {
		engine_publish_endpoints(e);
		ts_node_start(e->node, ts_loop_now_ms(e->loop));
	}
	*out = engine;
	return 0;
}

static void close_doors(struct ts_engine *engine)
{
	metrics_server_close(engine->metrics);
	engine_close_localapi(engine);
	certs_close(engine);
	engine_close_proxy_port(engine);
	auth_source_close(engine->auth);
}

static void close_node(struct ts_engine *engine)
{
	ts_drop_box_free(engine->drop_box);
	ts_node_free(engine->node);
	engine->node = NULL;
	engine_io_close(engine);
	ts_port_mapper_free(engine->mapper);
	if (engine->udp)
		ts_udp_port_close(engine->udp);
	profile_store_close(&engine->store); /* may have a request */
	if (engine->http)
		ts_http_client_free(engine->http);
	ts_timer_free(engine->node_timer);
	ts_timer_free(engine->stop_timer);
	ts_timer_free(engine->expiry_timer);
}

void ts_engine_close(struct ts_engine *engine)
{
	struct ts_engine *next;

	if (!engine)
		return;
	for (struct ts_engine *e = engine; e; e = e->next)
		close_doors(e);
	if (engine->host)
		ts_host_close(engine->host);
	for (struct ts_engine *e = engine; e; e = e->next)
		e->host = NULL, e->member = NULL;
	ts_net_monitor_close(engine->monitor);
	for (struct ts_engine *e = engine; e; e = e->next)
		close_node(e);
	if (engine->resolver)
		ts_resolver_free(engine->resolver);
	if (engine->loop)
		ts_loop_free(engine->loop);
	for (; engine; engine = next) {
		next = engine->next;
		ts_config_deinit(&engine->config);
		ts_cert_roots_free(engine->backend_roots);
		free(engine);
	}
}

void ts_engine_run(struct ts_engine *engine)
{
	ts_loop_run(engine->loop);
}

void ts_engine_disown(struct ts_engine *engine)
{
	for (struct ts_engine *e = engine; e; e = e->next) {
		if (e->store.lock_fd >= 0)
			close(e->store.lock_fd);
		e->store.lock_fd = -1;
	}
	ts_host_disown();
}

void ts_engine_watch_state(struct ts_engine *engine, ts_engine_state_fn fn,
			   void *ctx)
{
	for (struct ts_engine *e = engine; e; e = e->next) {
		e->state_fn = fn;
		e->state_ctx = ctx;
	}
}

struct ts_engine *ts_engine_next(const struct ts_engine *engine)
{
	return engine->next;
}

const char *ts_engine_name(const struct ts_engine *engine)
{
	return engine->config.node_name;
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
