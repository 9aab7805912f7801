/* SPDX-License-Identifier: BSD-3-Clause
 * node_io.c - the node's requests for I/O, carried out
 *
 * Control: one GET for the key, one stream at a time. UDP: one port. DERP: one
 * stream a region (derp_stream.c). Every callback of a stream is turned into
 * the node's function of the same meaning; the clock of the call is the loop's.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/heap.h"
#include "core/base/log.h"
#include "core/engine/auth_source.h"
#include "core/engine/certs.h"
#include "core/engine/engine_internal.h"
#include "core/engine/local_server.h"
#include "core/engine/login_notice.h"
#include "core/io/own_address.h"
#include "core/localapi/c2n_routes.h"
#include "core/localapi/localapi.h"

enum {
	KEY_BODY_MAX = 64 * 1024,
	KEY_TIMEOUT_MS = 15000,
	CONTROL_DIAL_MS = 10000,
	TARGETS_MAX = 8,
	LOCAL_ADDRS_MAX = 32,
};

/* -- control -------------------------------------------------------------- */

static void on_key(void *ctx, int status, const char *body, size_t len,
		   const char *error)
{
	struct ts_engine *engine = ctx;

	engine->key_request = NULL;
	ts_node_control_key_fetched(engine->node, status, body, len, error,
				    engine_now_ms(engine));
}

static void control_fetch_key(void *ctx, const char *url)
{
	struct ts_engine *engine = ctx;

	if (engine->key_request)
		ts_http_cancel(engine->key_request);
	engine->key_request = ts_http_get(engine->http, url, KEY_BODY_MAX,
					  KEY_TIMEOUT_MS, on_key, engine);
	if (!engine->key_request)
		ts_node_control_key_fetched(engine->node, 0, NULL, 0,
					    "out of memory",
					    engine_now_ms(engine));
}

static void on_head(void *ctx, const struct ts_http_reply *reply)
{
	struct ts_engine *engine = ctx;

	engine->head_request = NULL;
	log_debug("control: ping by HEAD: http %d %s", reply->status,
		  reply->error ? reply->error : "");
}

/* One at a time; the server's latest wish counts. */
static void control_head(void *ctx, const char *url)
{
	struct ts_engine *engine = ctx;
	const struct ts_http_call call = {
		.method = "HEAD", .url = url, .timeout_ms = KEY_TIMEOUT_MS};

	if (engine->head_request)
		ts_http_cancel(engine->head_request);
	engine->head_request =
		ts_http_call(engine->http, &call, on_head, engine);
}

static void on_control_connected(void *ctx, struct ts_link *link)
{
	struct ts_engine *engine = ctx;

	engine->control_link = link;
	ts_node_control_connected(engine->node, engine_now_ms(engine));
}

static void on_control_input(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_engine *engine = ctx;

	ts_node_control_input(engine->node, data, len, engine_now_ms(engine));
}

static void on_control_closed(void *ctx, const char *error)
{
	struct ts_engine *engine = ctx;

	engine->control_link = NULL;
	ts_node_control_closed(engine->node, error, engine_now_ms(engine));
}

static const struct ts_link_ops control_link_ops = {
	.connected = on_control_connected,
	.input = on_control_input,
	.closed = on_control_closed,
};

static void control_hangup(void *ctx)
{
	struct ts_engine *engine = ctx;

	if (engine->control_link)
		ts_link_close(engine->control_link);
	engine->control_link = NULL;
}

static void control_dial(void *ctx, const struct ts_control_target *targets,
			 size_t count)
{
	struct ts_engine *engine = ctx;
	struct ts_link_candidate candidates[TARGETS_MAX] = {0};

	control_hangup(engine);
	if (count > TARGETS_MAX)
		count = TARGETS_MAX;
	for (size_t i = 0; i < count; i++) {
		candidates[i].delay_ms = targets[i].delay_ms;
		candidates[i].config = (struct ts_link_config){
			.host = targets[i].host,
			.port = targets[i].port,
			.tls = targets[i].tls ? TS_LINK_TLS_UNVERIFIED
					      : TS_LINK_PLAIN,
			.timeout_ms = CONTROL_DIAL_MS,
			.no_alpn_h1 = true, /* as upstream: none at all */
		};
	}
	engine->control_link =
		ts_link_race(engine->loop, engine->resolver, candidates, count,
			     &control_link_ops, engine);
	if (!engine->control_link)
		ts_node_control_closed(engine->node, "out of memory",
				       engine_now_ms(engine));
}

static void control_write(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_engine *engine = ctx;

	/* A full queue closes the link by itself: closed() tells the node. */
	if (engine->control_link)
		ts_link_write(engine->control_link, data, len);
}

/* -- UDP ------------------------------------------------------------------ */

static void udp_send(void *ctx, const struct ts_addr *to, const uint8_t *pkt,
		     size_t len)
{
	struct ts_engine *engine = ctx;

	if (engine->udp)
		ts_udp_port_send(engine->udp, to, pkt, len);
}

static uint8_t *udp_room(void *ctx, size_t len)
{
	struct ts_engine *engine = ctx;

	return engine->udp ? ts_udp_port_room(engine->udp, len) : NULL;
}

static void udp_send_whole(void *ctx, const struct ts_addr *to,
			   const uint8_t *pkt, size_t len)
{
	struct ts_engine *engine = ctx;

	if (engine->udp)
		ts_udp_port_send_whole(engine->udp, to, pkt, len);
}

void engine_on_udp(void *ctx, const struct ts_addr *from,
		   struct ts_packet *pkt)
{
	struct ts_engine *engine = ctx;

	ts_node_udp_input(engine->node, from, pkt, engine_now_ms(engine));
}

void engine_on_udp_reuse(void *ctx)
{
	struct ts_engine *engine = ctx;

	if (engine->node)
		ts_node_udp_reuse(engine->node);
}

void engine_on_udp_refused(void *ctx, const struct ts_addr *to)
{
	struct ts_engine *engine = ctx;

	ts_node_udp_refused(engine->node, to, engine_now_ms(engine));
}

/* With the bits of our own addresses in them. */
static void publish_lans(struct ts_engine *engine)
{
	struct ts_prefix lans[LOCAL_ADDRS_MAX];

	ts_node_set_lans(engine->node, lans,
			 ts_local_networks(lans, LOCAL_ADDRS_MAX),
			 engine_now_ms(engine));
}

void engine_publish_endpoints(struct ts_engine *engine)
{
	struct ts_ip ips[LOCAL_ADDRS_MAX];
	struct ts_addr addrs[LOCAL_ADDRS_MAX];
	size_t count = ts_local_addresses(ips, LOCAL_ADDRS_MAX);

	if (!engine->udp)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		addrs[i].ip = ips[i];
		addrs[i].port = ts_udp_port_number(engine->udp);
	}
	ts_node_local_endpoints(engine->node, addrs, count,
				engine_now_ms(engine));
	publish_lans(engine);
	engine_update_mapper(engine);
}

/* -- the end -------------------------------------------------------------- */

void engine_io_close(struct ts_engine *engine)
{
	ts_http_cancel(engine->key_request);
	engine->key_request = NULL;
	ts_http_cancel(engine->head_request);
	engine->head_request = NULL;
	control_hangup(engine);
	engine_derp_latency_cancel(engine);
	engine_derp_resolve_cancel(engine);
	engine_close_derps(engine);
}

/* -- news ----------------------------------------------------------------- */

static uint64_t wall_clock_ns(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t loop_now_ms(void *ctx)
{
	return engine_now_ms(ctx);
}

uint64_t engine_monotonic_us(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void persist(void *ctx)
{
	struct ts_engine *engine = ctx;

	profile_store_save(&engine->store, engine->node);
}

static const char *state_trouble(void *ctx)
{
	const struct ts_engine *engine = ctx;
	const char *trouble = engine->store.kept->trouble;

	return *trouble ? trouble : NULL;
}

static void on_state_changed(void *ctx, enum ts_node_state state,
			     const char *error)
{
	struct ts_engine *engine = ctx;

	login_notice_state(engine, state);
	if (state == TS_RUNNING)
		certs_changed(engine);
	if (engine->host)
		ts_host_state_changed(engine->host);
	if (engine->localapi)
		ts_localapi_state_changed(engine->localapi, state, error,
					  engine_now_ms(engine));
	if (engine->state_fn)
		engine->state_fn(engine->state_ctx, state, error, NULL);
}

static void on_serve_changed(void *ctx)
{
	certs_changed(ctx);
}

static void on_auth_url(void *ctx, const char *url)
{
	struct ts_engine *engine = ctx;

	login_notice_url(engine, url);
	if (engine->localapi)
		ts_localapi_auth_url(engine->localapi, url);
	if (engine->state_fn)
		engine->state_fn(engine->state_ctx,
				 ts_node_state(engine->node), NULL, url);
}

/* Decoding a large map leaves several times its size in free chunks that
 * malloc would keep: 72 MB against 24 with 10,000 peers. */
static void give_memory_back(void *ctx)
{
	(void)ctx;
	ts_heap_trim();
}

/* The tailnet may want another port than the user's (`port`), so that several
 * nodes behind one NAT do not get in each other's way. */
static void follow_port(void *ctx)
{
	struct ts_engine *engine = ctx;
	const struct ts_peer *self = ts_node_netmap(engine->node)->self;
	bool is_random = self &&
			 ts_peer_has_cap(self, "randomize-client-port");

	if (engine->config.port == 0 || !engine->udp ||
	    is_random == engine->has_random_port)
		return;
	engine->has_random_port = is_random;
	if (ts_udp_port_rebind(engine->udp,
			       is_random ? 0 : engine->config.port))
		log_error("node-%s: no UDP socket, relayed paths only",
			  engine->config.hostname);
	engine_publish_endpoints(engine);
	engine_update_mapper(engine);
	ts_node_network_changed(engine->node, engine_now_ms(engine));
}

static void on_netmap_changed(void *ctx, unsigned changes)
{
	struct ts_engine *engine = ctx;

	if (changes & TS_CHANGED_SELF) {
		profile_store_save(&engine->store, engine->node);
		login_notice_watch_expiry(engine);
	}
	if (changes & TS_CHANGED_SELF)
		ts_loop_post(engine->loop, follow_port, engine);
	if (changes & TS_CHANGED_SELF)
		engine_follow_udp_attributes(engine);
	if (changes & TS_CHANGED_SELF)
		ts_loop_post(engine->loop, engine_follow_tka_profile, engine);
	if (changes & (TS_CHANGED_SELF | TS_CHANGED_FIRST))
		ts_loop_post(engine->loop, engine_follow_mapper_attrs, engine);
	if (changes & (TS_CHANGED_SELF | TS_CHANGED_DNS))
		certs_changed(engine);
	/* Later, when the message that is being read has been freed too. */
	if (changes & TS_CHANGED_FIRST)
		ts_loop_post(engine->loop, give_memory_back, NULL);
	if (engine->host)
		ts_host_netmap_changed(engine->host);
	if (engine->localapi)
		ts_localapi_netmap_changed(engine->localapi, changes);
}

static void on_inbound_syn(void *ctx, struct stack_syn *syn,
			   const struct ts_addr *local,
			   const struct ts_addr *remote)
{
	struct ts_engine *engine = ctx;

	ts_host_inbound_syn(engine->member, syn, local, remote);
}

static void on_syn_gone(void *ctx, struct stack_syn *syn)
{
	struct ts_engine *engine = ctx;

	ts_host_syn_gone(engine->member, syn);
}

static void on_browse(void *ctx, const char *url)
{
	struct ts_engine *engine = ctx;

	if (engine->localapi)
		ts_localapi_auth_url(engine->localapi, url);
}

static void on_c2n(void *ctx, const struct ts_c2n_request *request,
		   struct ts_c2n_reply *reply)
{
	struct ts_engine *engine = ctx;

	ts_localapi_c2n(engine->node, &engine_localapi_env, engine, request,
			reply, time(NULL));
}

static void on_forward_udp(void *ctx, const struct ts_addr *from,
			   const struct ts_addr *to, const uint8_t *data,
			   size_t len)
{
	const struct ts_engine *engine = ctx;

	ts_host_forward_udp(engine->member, from, to, data, len);
}

static void on_forward_echo(void *ctx, const struct ts_ip *from,
			    const struct ts_ip *to, uint16_t id, uint16_t seq,
			    const uint8_t *data, size_t len)
{
	const struct ts_engine *engine = ctx;

	ts_host_forward_echo(engine->member, from, to, id, seq, data, len);
}

const struct ts_node_io engine_node_io = {
	.control_fetch_key = control_fetch_key,
	.control_dial = control_dial,
	.control_write = control_write,
	.control_hangup = control_hangup,
	.udp_send = udp_send,
	.udp_send_whole = udp_send_whole,
	.udp_room = udp_room,
	.derp_open = engine_derp_open,
	.derp_write = engine_derp_write,
	.derp_close = engine_derp_close,
	.derp_queued = engine_derp_queued,
	.derp_latency = engine_derp_latency,
	.derp_latency_cancel = engine_derp_latency_cancel,
	.resolve = engine_derp_resolve,
	.wall_clock_ns = wall_clock_ns,
	.now_ms = loop_now_ms,
	.monotonic_us = engine_monotonic_us,
	.want_auth_key = auth_source_want,
	.persist = persist,
	.state_trouble = state_trouble,
	.cert_report = certs_report,
	.serve_changed = on_serve_changed,
	.state_changed = on_state_changed,
	.auth_url = on_auth_url,
	.netmap_changed = on_netmap_changed,
	.browse = on_browse,
	.c2n = on_c2n,
	.head = control_head,
	.peer_changed = engine_peer_changed,
	.peer_removed = engine_peer_removed,
	.prefs_changed = engine_prefs_changed,
	.inbound_syn = on_inbound_syn,
	.syn_gone = on_syn_gone,
	.forward_udp = on_forward_udp,
	.forward_echo = on_forward_echo,
};
