/* SPDX-License-Identifier: BSD-3-Clause
 * node_sim.h - whole nodes on a virtual clock: real WireGuard, paths, filter,
 *              names and stacks; the network, one DERP server and the control
 *              client are simulated
 *
 * The control client is replaced at link time: the functions of
 * control_client.h are defined here, and map responses are given to a node as
 * JSON, through the real decoder and the real netmap. What crosses the network
 * is an event at a later time; sim_run() takes events and deadlines in order.
 */
#ifndef TESTS_UNIT_NODE_NODE_SIM_H
#define TESTS_UNIT_NODE_NODE_SIM_H

#include "unit/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/control/map_json.h"
#include "core/control/netmap_apply.h"
#include "core/crypto/secret.h"
#include "core/model/netmap_edit.h"
#include "core/node/node.h"
#include "core/path/derp_info_json.h"
#include "core/path/derp_wire.h"
#include "core/path/disco_wire.h"

enum { SIM_NODES = 3, SIM_REGION = 1, SIM_POSTS = 8, SIM_CONNS = 8,
       SIM_UDP_PORT = 41641, SIM_START_MS = 1000000 };
#define SIM_WALL_S 1750000000

/* -- the control client's double ------------------------------------------ */
struct ts_control {
	struct ts_control_ops ops;
	void *ctx;
	struct ts_netmap *netmap;
	struct ts_private_key node_key, old_node_key;
	struct ts_nl_private_key nl_key;
	struct ts_public_key disco_key;
	enum ts_control_state state;
	bool got_first, wants_logout, network_changed;
	bool wants_person, login_new_key;
	char login_key[64];
	bool shields_up;
	struct ts_control_serve serve;
	char hostname[64], tags[128]; /* tags: joined by commas */
	char request_path[64], request[600];
	int64_t expire_at;
	ts_control_reply_fn reply;
	void *reply_ctx;
	size_t endpoint_count;
	int home_region;
	size_t route_count;
	uint16_t peerapi_port;
	size_t post_count;
	char posts[SIM_POSTS][600], post_urls[SIM_POSTS][64];
	/* The last request, until sim_answer(); fn NULL: none. */
	ts_control_reply_fn call_fn;
	void *call_ctx;
	char call_path[64], call_body[8192];
	size_t call_count;
	char tka_head[64];
};

static struct ts_control *sim_last_control;

struct ts_control *ts_control_new(const struct ts_control_config *config,
				  const struct ts_control_ops *ops, void *ctx)
{
	struct ts_control *c = calloc(1, sizeof(*c));

	c->ops = *ops;
	c->ctx = ctx;
	c->netmap = ts_netmap_new();
	c->node_key = config->node_key;
	c->nl_key = config->nl_key;
	c->disco_key = config->disco_key;
	sim_last_control = c;
	return c;
}
void ts_control_free(struct ts_control *c)
{
	if (c)
		ts_netmap_free(c->netmap);
	free(c);
}
void ts_control_start(struct ts_control *c, uint64_t now_ms)
{
	(void)now_ms;
	c->state = TS_CONTROL_CONNECTING;
	c->ops.state_changed(c->ctx, c->state, NULL);
}
void ts_control_logout(struct ts_control *c, uint64_t now_ms)
{
	(void)now_ms;
	c->wants_logout = true;
}
void ts_control_login_interactive(struct ts_control *c, uint64_t now_ms)
{
	(void)now_ms;
	c->wants_person = true;
}
int ts_control_login(struct ts_control *c, const char *auth_key,
		     bool with_new_key, uint64_t now_ms)
{
	(void)now_ms;
	snprintf(c->login_key, sizeof(c->login_key), "%s", auth_key);
	c->login_new_key = with_new_key;
	return 0;
}
void ts_control_auth_key_made(struct ts_control *c, const char *auth_key,
			      uint64_t now_ms)
{
	(void)now_ms;
	snprintf(c->login_key, sizeof(c->login_key), "%s", auth_key);
}
void ts_control_auth_key_failed(struct ts_control *c, const char *error,
				bool is_refused, uint64_t now_ms)
{
	(void)is_refused, (void)now_ms;
	c->ops.state_changed(c->ctx, TS_CONTROL_FAILED, error);
}
void ts_control_key_fetched(struct ts_control *c, int status, const char *body,
			    size_t len, const char *error, uint64_t now_ms)
{
	(void)c, (void)status, (void)body, (void)len, (void)error, (void)now_ms;
}
void ts_control_connected(struct ts_control *c, uint64_t now_ms)
{
	(void)c, (void)now_ms;
}
void ts_control_input(struct ts_control *c, const uint8_t *data, size_t len,
		      uint64_t now_ms)
{
	(void)c, (void)data, (void)len, (void)now_ms;
}
void ts_control_closed(struct ts_control *c, const char *error, uint64_t now_ms)
{
	(void)c, (void)error, (void)now_ms;
}
uint64_t ts_control_deadline_ms(const struct ts_control *c)
{
	(void)c;
	return UINT64_MAX;
}
void ts_control_tick(struct ts_control *c, uint64_t now_ms)
{
	(void)c, (void)now_ms;
}
void ts_control_network_changed(struct ts_control *c, uint64_t now_ms)
{
	(void)now_ms;
	c->network_changed = true;
}
void ts_control_set_endpoints(struct ts_control *c,
			      const struct ts_addr *endpoints, const int *types,
			      size_t count, uint64_t now_ms)
{
	(void)endpoints, (void)types, (void)now_ms;
	c->endpoint_count = count;
}
void ts_control_set_net_info(struct ts_control *c,
			     const struct ts_net_info *info, uint64_t now_ms)
{
	(void)now_ms;
	c->home_region = info->preferred_derp;
}
void ts_control_set_routes(struct ts_control *c, const struct ts_prefix *routes,
			   size_t count, uint64_t now_ms)
{
	(void)routes, (void)now_ms;
	c->route_count = count;
}
void ts_control_set_peerapi(struct ts_control *c, uint16_t port4,
			    uint16_t port6, uint64_t now_ms)
{
	(void)port6, (void)now_ms;
	c->peerapi_port = port4;
}
void ts_control_post(struct ts_control *c, const char *url, const void *body,
		     size_t len, uint64_t now_ms)
{
	(void)now_ms;
	assert_true(c->post_count < SIM_POSTS);
	snprintf(c->post_urls[c->post_count], sizeof(c->post_urls[0]), "%s",
		 url);
	snprintf(c->posts[c->post_count++], sizeof(c->posts[0]), "%.*s",
		 (int)len, (const char *)body);
}
void ts_control_set_tka_head(struct ts_control *c, const char *head,
			     uint64_t now_ms)
{
	(void)now_ms;
	snprintf(c->tka_head, sizeof(c->tka_head), "%s", head);
}
int ts_control_ask(struct ts_control *c, const struct ts_control_ask *ask,
		   ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms)
{
	(void)now_ms;
	assert_null(c->call_fn);
	assert_true(strcmp(ask->method, "GET") == 0 ||
		    strcmp(ask->method, "PATCH") == 0);
	assert_true(strlen(ask->body) < sizeof(c->call_body));
	snprintf(c->call_path, sizeof(c->call_path), "%s", ask->path);
	snprintf(c->call_body, sizeof(c->call_body), "%s", ask->body);
	c->call_fn = fn;
	c->call_ctx = fn_ctx;
	c->call_count++;
	return 0;
}
void ts_control_disconnect(struct ts_control *c, uint64_t now_ms)
{
	(void)now_ms;
	c->state = TS_CONTROL_CONNECTING;
	c->ops.state_changed(c->ctx, c->state, NULL);
}
void ts_control_set_disco_key(struct ts_control *c,
			      const struct ts_public_key *disco_key,
			      uint64_t now_ms)
{
	(void)now_ms;
	c->disco_key = *disco_key;
}
void ts_control_stop(struct ts_control *c, uint64_t now_ms)
{
	(void)now_ms;
	c->state = TS_CONTROL_STOPPED;
	c->ops.state_changed(c->ctx, c->state, NULL);
}
int ts_control_set_hostname(struct ts_control *c, const char *hostname,
			    uint64_t now_ms)
{
	(void)now_ms;
	snprintf(c->hostname, sizeof(c->hostname), "%s", hostname);
	return 0;
}
void ts_control_set_shields_up(struct ts_control *c, bool shields_up,
			       uint64_t now_ms)
{
	(void)now_ms;
	c->shields_up = shields_up;
}
void ts_control_set_serve(struct ts_control *c,
			  const struct ts_control_serve *serve,
			  uint64_t now_ms)
{
	(void)now_ms;
	c->serve = *serve;
}
int ts_control_set_tags(struct ts_control *c, char *const *tags, size_t count,
			uint64_t now_ms)
{
	size_t len = 0;

	(void)now_ms;
	c->tags[0] = '\0';
	for (size_t i = 0; i < count && len < sizeof(c->tags); i++)
		len += (size_t)snprintf(c->tags + len, sizeof(c->tags) - len,
					"%s%s", i ? "," : "", tags[i]);
	return 0;
}
int ts_control_request(struct ts_control *c, const char *path,
		       const char *body, ts_control_reply_fn fn, void *fn_ctx,
		       uint64_t now_ms)
{
	(void)now_ms;
	if (c->state != TS_CONTROL_RUNNING)
		return -ENETDOWN;
	snprintf(c->request_path, sizeof(c->request_path), "%s", path);
	snprintf(c->request, sizeof(c->request), "%s", body);
	c->reply = fn;
	c->reply_ctx = fn_ctx;
	return 0;
}
int ts_control_expire_at(struct ts_control *c, int64_t expiry_unix,
			 ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms)
{
	c->expire_at = expiry_unix;
	return ts_control_request(c, "/machine/register", "", fn, fn_ctx,
				  now_ms);
}
enum ts_control_state ts_control_state(const struct ts_control *c)
{
	return c->state;
}
const struct ts_netmap *ts_control_netmap(const struct ts_control *c)
{
	return c->netmap;
}
void ts_control_identity(const struct ts_control *c,
			 struct ts_control_identity *out)
{
	const struct ts_peer *self = c->netmap->self;

	*out = (struct ts_control_identity){
		.node_key = c->node_key,
		.old_node_key = c->old_node_key,
		.nl_key = c->nl_key,
		.stable_id = self ? self->stable_id : NULL,
		.user_id = 100,
		.login_name = "ann@example.com",
	};
}

/* -- the simulation ------------------------------------------------------- */
enum sim_kind { SIM_UDP, SIM_TO_SERVER, SIM_TO_CLIENT, SIM_OPENED };

struct sim_event {
	struct sim_event *next;
	uint64_t at_ms;
	enum sim_kind kind;
	int node;
	unsigned conn;
	struct ts_addr from;
	uint8_t *data;
	size_t len;
};

struct sim;

/* One side of a TCP connection that sends and checks a pattern. */
struct sim_conn {
	struct sim_node *node;
	struct stack_tcp *tcp;
	bool is_up, is_over;
	int err;
	uint64_t to_write, written, read;
	struct ts_addr remote;
};

struct sim_line { /* to the DERP server */
	unsigned conn;
	bool is_open, is_upgraded, is_introduced;
	char http[2048];
	size_t http_len;
	struct ts_derp_stream stream;
	struct ts_public_key client;
	struct ts_box box;
};

struct sim_node {
	struct sim *sim;
	int index;
	struct ts_node *node;
	struct ts_control *control;
	struct ts_addr addr;
	struct sim_line line;
	struct sim_conn conns[SIM_CONNS];
	size_t conn_count;
	unsigned syns, persists, state_calls, auth_urls, map_calls;
	enum ts_node_state state;
	char error[256];
	bool was_key_stored; /* at the last persist: was wg still on the old? */
	unsigned wg_udp, wg_derp; /* messages that left */
	size_t last_udp_len;
	struct ts_ping_result ping;
	unsigned pings;
	struct ts_ip udp_from;
	unsigned udp_got;
	/* Who hears of the news too; NULL: nobody. */
	const struct ts_node_io *also;
	void *also_ctx;
};

struct sim {
	uint64_t now_ms;
	int64_t wall_s;
	bool no_udp, derp_down, has_us_clock;
	struct sim_event *events;
	struct sim_node nodes[SIM_NODES];
	struct ts_private_key derp_key;
	struct ts_public_key derp_public;
	uint64_t latency_ms;
	struct ts_derp_server_info derp_info;
	json_t *extra[SIM_NODES]; /* fields of a node's JSON, overriding */
};

static inline struct sim_event *sim_post(struct sim *sim, enum sim_kind kind,
					 int node, const void *data, size_t len)
{
	struct sim_event *ev = calloc(1, sizeof(*ev)), **at = &sim->events;

	ev->kind = kind;
	ev->at_ms = sim->now_ms + sim->latency_ms;
	ev->node = node;
	ev->data = malloc(len + 1);
	memcpy(ev->data, data, len);
	ev->len = len;
	while (*at && (*at)->at_ms <= ev->at_ms)
		at = &(*at)->next;
	ev->next = *at;
	*at = ev;
	return ev;
}

/* -- io ------------------------------------------------------------------- */
static inline void sim_udp_send(void *ctx, const struct ts_addr *to,
				const uint8_t *pkt, size_t len)
{
	struct sim_node *n = ctx;

	if (ts_datagram_kind(pkt, len) == DATAGRAM_WIREGUARD) {
		n->wg_udp++;
		n->last_udp_len = len;
	}
	for (int i = 0; i < SIM_NODES && !n->sim->no_udp; i++) {
		if (ts_addr_equal(&n->sim->nodes[i].addr, to))
			sim_post(n->sim, SIM_UDP, i, pkt, len)->from = n->addr;
	}
}

static inline void sim_line_reset(struct sim_line *line)
{
	unsigned conn = line->conn + 1;

	ts_derp_stream_deinit(&line->stream);
	memset(line, 0, sizeof(*line));
	ts_derp_stream_init(&line->stream);
	line->conn = conn;
}

static inline void sim_derp_open(void *ctx, int region,
				 const struct ts_derp_node *derp_node)
{
	struct sim_node *n = ctx;

	assert_int_equal(region, SIM_REGION);
	assert_string_equal(derp_node->host_name, "derp.example");
	sim_line_reset(&n->line);
	sim_post(n->sim, SIM_OPENED, n->index, "", 0)->conn = n->line.conn;
}

static inline void sim_derp_write(void *ctx, int region, const uint8_t *data,
				  size_t len)
{
	struct sim_node *n = ctx;

	assert_int_equal(region, SIM_REGION);
	assert_true(n->line.is_open);
	sim_post(n->sim, SIM_TO_SERVER, n->index, data, len)->conn =
		n->line.conn;
}

static inline void sim_derp_close(void *ctx, int region)
{
	struct sim_node *n = ctx;

	assert_int_equal(region, SIM_REGION);
	sim_line_reset(&n->line);
}

static inline size_t sim_derp_queued(void *ctx, int region)
{
	(void)ctx, (void)region;
	return 0;
}

static inline uint64_t sim_now_ms(void *ctx)
{
	struct sim_node *n = ctx;

	return n->sim->now_ms;
}

static inline uint64_t sim_wall_ns(void *ctx)
{
	struct sim_node *n = ctx;

	return ((uint64_t)n->sim->wall_s * 1000 + n->sim->now_ms -
		SIM_START_MS) * 1000000u;
}

/* As if each look at the clock took 7 us. */
static inline uint64_t sim_monotonic_us(void *ctx)
{
	static uint64_t looks;
	struct sim_node *n = ctx;

	return n->sim->now_ms * 1000 + 7 * ++looks;
}

static inline void sim_persist(void *ctx)
{
	struct sim_node *n = ctx;

	n->persists++;
}

static inline void sim_state(void *ctx, enum ts_node_state state,
			     const char *error)
{
	struct sim_node *n = ctx;

	n->state = state;
	n->state_calls++;
	snprintf(n->error, sizeof(n->error), "%s", error ? error : "");
	if (n->also)
		n->also->state_changed(n->also_ctx, state, error);
}

static inline void sim_auth_url(void *ctx, const char *url)
{
	struct sim_node *n = ctx;

	n->auth_urls++;
	if (n->also)
		n->also->auth_url(n->also_ctx, url);
}

static inline void sim_netmap_changed(void *ctx, unsigned changes)
{
	struct sim_node *n = ctx;

	n->map_calls++;
	if (n->also)
		n->also->netmap_changed(n->also_ctx, changes);
}

static inline void sim_peer_changed(void *ctx, const struct ts_peer *peer)
{
	struct sim_node *n = ctx;

	if (n->also)
		n->also->peer_changed(n->also_ctx, peer);
}

static inline void sim_peer_removed(void *ctx, const struct ts_peer *peer)
{
	struct sim_node *n = ctx;

	if (n->also)
		n->also->peer_removed(n->also_ctx, peer);
}

static inline void sim_prefs_changed(void *ctx, bool is_login)
{
	struct sim_node *n = ctx;

	if (n->also)
		n->also->prefs_changed(n->also_ctx, is_login);
}

/* -- TCP ------------------------------------------------------------------ */
static inline void sim_conn_push(struct sim_conn *c)
{
	while (c->tcp && c->written < c->to_write) {
		uint8_t data[1024];
		size_t n = sizeof(data), took;

		if (c->to_write - c->written < n)
			n = (size_t)(c->to_write - c->written);
		for (size_t i = 0; i < n; i++)
			data[i] = (uint8_t)((c->written + i) * 7);
		took = stack_tcp_write(c->tcp, data, n);
		c->written += took;
		if (took < n)
			break;
	}
	if (c->tcp)
		stack_tcp_flush(c->tcp);
}

static inline void sim_conn_up(void *user)
{
	struct sim_conn *c = user;

	c->is_up = true;
	sim_conn_push(c);
}

static inline void sim_conn_readable(void *user)
{
	struct sim_conn *c = user;
	struct iovec iov[8];
	int n;

	while ((n = stack_tcp_read_view(c->tcp, iov, 8)) > 0) {
		size_t total = 0;

		for (int i = 0; i < n; i++) {
			const uint8_t *p = iov[i].iov_base;

			for (size_t k = 0; k < iov[i].iov_len; k++)
				assert_int_equal(p[k],
						 (uint8_t)(c->read++ * 7));
			total += iov[i].iov_len;
		}
		stack_tcp_consume(c->tcp, total);
	}
}

static inline void sim_conn_gone(void *user, int err)
{
	struct sim_conn *c = user;

	c->tcp = NULL;
	c->is_over = true;
	c->err = err;
}

static const struct stack_tcp_ops sim_conn_ops = {
	.connected = sim_conn_up,
	.readable = sim_conn_readable,
	.writable = (void (*)(void *))sim_conn_push,
	.gone = sim_conn_gone,
};

static inline struct sim_conn *sim_conn_new(struct sim_node *n)
{
	struct sim_conn *c = &n->conns[n->conn_count++];

	assert_true(n->conn_count <= SIM_CONNS);
	c->node = n;
	return c;
}

static inline void sim_syn(void *ctx, struct stack_syn *syn,
			   const struct ts_addr *local,
			   const struct ts_addr *remote)
{
	struct sim_node *n = ctx;
	struct sim_conn *c = sim_conn_new(n);

	(void)local;
	n->syns++;
	c->remote = *remote;
	c->tcp = stack_syn_accept(syn, &sim_conn_ops, c, n->sim->now_ms);
	assert_non_null(c->tcp);
}

static inline void sim_syn_gone(void *ctx, struct stack_syn *syn)
{
	(void)ctx, (void)syn;
}

/* Nobody answers by HTTPS. */
static inline void sim_derp_latency(void *ctx, int region,
				    const struct ts_derp_node *node)
{
	struct sim_node *n = ctx;

	(void)node;
	ts_node_derp_latency(n->node, region, 0, n->sim->now_ms);
}

static inline void sim_resolve(void *ctx, const char *host)
{
	(void)ctx;
	assert_string_equal(host, "derp.example");
}

static inline void sim_derp_latency_cancel(void *ctx)
{
	(void)ctx;
}

static const struct ts_node_io sim_io = {
	.udp_send = sim_udp_send,
	.udp_send_whole = sim_udp_send,
	.derp_latency = sim_derp_latency,
	.derp_latency_cancel = sim_derp_latency_cancel,
	.resolve = sim_resolve,
	.derp_open = sim_derp_open,
	.derp_write = sim_derp_write,
	.derp_close = sim_derp_close,
	.derp_queued = sim_derp_queued,
	.wall_clock_ns = sim_wall_ns,
	.now_ms = sim_now_ms,
	.persist = sim_persist,
	.state_changed = sim_state,
	.auth_url = sim_auth_url,
	.netmap_changed = sim_netmap_changed,
	.peer_changed = sim_peer_changed,
	.peer_removed = sim_peer_removed,
	.prefs_changed = sim_prefs_changed,
	.inbound_syn = sim_syn,
	.syn_gone = sim_syn_gone,
};

/* -- the DERP server ------------------------------------------------------ */
static inline void sim_serve(struct sim_node *n, const void *data, size_t len)
{
	sim_post(n->sim, SIM_TO_CLIENT, n->index, data, len)->conn =
		n->line.conn;
}

static inline void sim_derp_introduced(struct sim_node *n,
				       const struct ts_derp_frame *frame)
{
	struct sim *sim = n->sim;
	char json[DERP_INFO_JSON_MAX_LEN + 1];
	uint8_t out[512];
	struct ts_writer w = ts_writer_init(out, sizeof(out));
	int len;

	assert_int_equal(ts_derp_read_client_info_key(frame, &n->line.client),
			 0);
	assert_int_equal(ts_box_init(&n->line.box, &sim->derp_key,
				     &n->line.client), 0);
	n->line.is_introduced = true;
	sim->derp_info.version = DERP_PROTOCOL_VERSION;
	len = ts_derp_server_info_to_json(&sim->derp_info, json, sizeof(json));
	assert_int_equal(ts_derp_write_server_info(&w, &n->line.box, json,
						   (size_t)len), 0);
	sim_serve(n, out, w.len);
}

static inline void sim_derp_forward(struct sim_node *n,
				    const struct ts_derp_frame *frame)
{
	uint8_t out[DERP_PACKET_HEADER_LEN + 4096];
	struct ts_public_key dst;
	const uint8_t *pkt;
	size_t len;

	assert_int_equal(ts_derp_read_packet(frame, &dst, &pkt, &len), 0);
	if (ts_datagram_kind(pkt, len) == DATAGRAM_WIREGUARD)
		n->wg_derp++;
	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *to = &n->sim->nodes[i];

		if (!to->line.is_introduced ||
		    !ts_public_key_equal(&to->line.client, &dst))
			continue;
		ts_derp_write_packet_header(out, DERP_RECV_PACKET,
					    &n->line.client, len);
		memcpy(out + DERP_PACKET_HEADER_LEN, pkt, len);
		sim_serve(to, out, DERP_PACKET_HEADER_LEN + len);
	}
}

static inline int sim_derp_frame(void *ctx, const struct ts_derp_frame *frame)
{
	if (frame->type == DERP_CLIENT_INFO)
		sim_derp_introduced(ctx, frame);
	else if (frame->type == DERP_SEND_PACKET)
		sim_derp_forward(ctx, frame);
	return 0;
}

static inline void sim_derp_input(struct sim_node *n, const uint8_t *data,
				  size_t len)
{
	static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\n"
				     "Upgrade: DERP\r\n"
				     "Connection: Upgrade\r\n\r\n";
	uint8_t key[64];
	struct ts_writer w = ts_writer_init(key, sizeof(key));

	if (n->line.is_upgraded) {
		assert_int_equal(ts_derp_stream_input(&n->line.stream, data,
						      len, sim_derp_frame, n),
				 0);
		return;
	}
	assert_true(n->line.http_len + len < sizeof(n->line.http));
	memcpy(n->line.http + n->line.http_len, data, len);
	n->line.http_len += len;
	if (!strstr(n->line.http, "\r\n\r\n"))
		return;
	n->line.is_upgraded = true;
	sim_serve(n, answer, sizeof(answer) - 1);
	ts_derp_write_server_key(&w, &n->sim->derp_public);
	sim_serve(n, key, w.len);
}

/* -- running -------------------------------------------------------------- */
static inline void sim_deliver_udp(struct sim_node *n, struct sim_event *ev)
{
	uint8_t *buf = malloc(TS_PACKET_HEADROOM + ev->len +
			      TS_PACKET_TAILROOM);
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM,
				.len = ev->len};

	memcpy(pkt.data, ev->data, ev->len);
	ts_node_udp_input(n->node, &ev->from, &pkt, n->sim->now_ms);
	free(buf);
}

static inline void sim_deliver(struct sim *sim, struct sim_event *ev)
{
	struct sim_node *n = &sim->nodes[ev->node];

	if (!n->node || (ev->kind != SIM_UDP && ev->conn != n->line.conn))
		return;
	switch (ev->kind) {
	case SIM_UDP:
		sim_deliver_udp(n, ev);
		break;
	case SIM_TO_SERVER:
		sim_derp_input(n, ev->data, ev->len);
		break;
	case SIM_TO_CLIENT:
		ts_node_derp_input(n->node, SIM_REGION, ev->data, ev->len,
				   sim->now_ms);
		break;
	case SIM_OPENED:
		if (sim->derp_down) {
			ts_node_derp_closed(n->node, SIM_REGION, "refused",
					    sim->now_ms);
			break;
		}
		n->line.is_open = true;
		ts_node_derp_opened(n->node, SIM_REGION, NULL, sim->now_ms);
		break;
	}
}

static inline uint64_t sim_next_ms(const struct sim *sim)
{
	uint64_t at = sim->events ? sim->events->at_ms : UINT64_MAX;

	for (int i = 0; i < SIM_NODES; i++) {
		const struct ts_node *node = sim->nodes[i].node;

		if (node && ts_node_deadline_ms(node) < at)
			at = ts_node_deadline_ms(node);
	}
	return at;
}

static inline void sim_run(struct sim *sim, uint64_t ms)
{
	uint64_t end = sim->now_ms + ms, at;

	while ((at = sim_next_ms(sim)) <= end) {
		if (at > sim->now_ms)
			sim->now_ms = at;
		while (sim->events && sim->events->at_ms <= sim->now_ms) {
			struct sim_event *ev = sim->events;

			sim->events = ev->next;
			sim_deliver(sim, ev);
			free(ev->data);
			free(ev);
		}
		for (int i = 0; i < SIM_NODES; i++) {
			struct ts_node *node = sim->nodes[i].node;

			if (node && ts_node_deadline_ms(node) <= sim->now_ms)
				ts_node_tick(node, sim->now_ms);
		}
	}
	sim->now_ms = end;
}

/* -- nodes ---------------------------------------------------------------- */
struct sim_options {
	bool derp_only, shields_up, route_all, no_key, ephemeral;
};

static inline void sim_add_node(struct sim *sim, int index,
				const struct sim_options *options)
{
	struct sim_node *n = &sim->nodes[index];
	const uint8_t ip[4] = {192, 0, 2, (uint8_t)(index + 1)};
	struct ts_prefs prefs;
	struct ts_node_config config = {.prefs = &prefs,
					.backend_log_id = "",
					.direct = !options->derp_only,
					.ephemeral = options->ephemeral};
	struct ts_node_io io = sim_io;

	ts_prefs_init_default(&prefs);
	free(prefs.hostname);
	assert_true(asprintf(&prefs.hostname, "n%d", index) > 0);
	prefs.shields_up = options->shields_up;
	prefs.route_all = options->route_all;
	if (!options->no_key)
		ts_private_key_generate(&prefs.persist.node_key);
	ts_nl_key_generate(&prefs.persist.nl_key);
	ts_private_key_generate(&config.machine_key);
	n->sim = sim;
	n->index = index;
	n->addr = (struct ts_addr){ts_ip_from_v4(ip), SIM_UDP_PORT};
	ts_derp_stream_init(&n->line.stream);
	if (sim->has_us_clock)
		io.monotonic_us = sim_monotonic_us;
	n->node = ts_node_new(&config, &io, n, sim->now_ms);
	ts_prefs_deinit(&prefs); /* moved from: defaults again */
	assert_non_null(n->node);
	n->control = sim_last_control;
	ts_node_local_endpoints(n->node, &n->addr, 1, sim->now_ms);
	ts_node_start(n->node, sim->now_ms);
}

static inline struct sim *sim_new(void)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	assert_int_equal(ts_crypto_init(), 0);
	ts_log_set_level(TS_LOG_OFF);
	sim->now_ms = SIM_START_MS;
	sim->wall_s = SIM_WALL_S;
	sim->latency_ms = 5;
	ts_private_key_generate(&sim->derp_key);
	ts_public_key_from_private(&sim->derp_key, &sim->derp_public);
	return sim;
}

static inline void sim_free(struct sim *sim)
{
	for (int i = 0; i < SIM_NODES; i++) {
		ts_node_free(sim->nodes[i].node);
		ts_derp_stream_deinit(&sim->nodes[i].line.stream);
		json_decref(sim->extra[i]);
	}
	while (sim->events) {
		struct sim_event *ev = sim->events;

		sim->events = ev->next;
		free(ev->data);
		free(ev);
	}
	free(sim);
}

/* -- control -------------------------------------------------------------- */
static inline struct ts_ip sim_ip(int index)
{
	const uint8_t ip[4] = {100, 64, 0, (uint8_t)(index + 1)};

	return ts_ip_from_v4(ip);
}

static inline struct ts_ip sim_ip6(int index)
{
	struct ts_ip ip;
	char text[40];

	snprintf(text, sizeof(text), "fd7a:115c:a1e0::%x", index + 1);
	assert_int_equal(ts_ip_parse(text, &ip), 0);
	return ip;
}

static inline json_t *sim_key_json(const struct ts_public_key *key,
				   const char *prefix)
{
	char text[TS_KEY_TEXT_CAP];

	return json_string(ts_public_key_format(key, prefix, text));
}

static inline json_t *sim_node_json(struct sim *sim, int index)
{
	const struct sim_node *n = &sim->nodes[index];
	struct ts_public_key key;
	char addr[TS_ADDR_TEXT_CAP], name[40], v4[40], v6[40];
	json_t *json;

	ts_public_key_from_private(&n->control->node_key, &key);
	snprintf(name, sizeof(name), "n%d.tail.example.", index);
	snprintf(v4, sizeof(v4), "100.64.0.%d/32", index + 1);
	snprintf(v6, sizeof(v6), "fd7a:115c:a1e0::%x/128", index + 1);
	json = json_pack(
		"{s:i,s:s,s:s,s:i,s:o,s:o,s:[ss],s:[s],s:i,s:{s:s,s:s},s:b,"
		"s:b}",
		"ID", index + 1, "StableID", name, "Name", name, "User", 100,
		"Key", sim_key_json(&key, TS_PREFIX_NODE), "DiscoKey",
		sim_key_json(&n->control->disco_key, TS_PREFIX_DISCO),
		"Addresses", v4, v6, "Endpoints",
		ts_addr_format(&n->addr, addr), "HomeDERP", SIM_REGION,
		"Hostinfo", "OS", "linux", "Hostname", "host", "Online", true,
		"MachineAuthorized", true);
	assert_non_null(json);
	if (sim->extra[index])
		json_object_update(json, sim->extra[index]);
	return json;
}

static inline void sim_upserted(void *ctx, struct ts_peer *peer)
{
	struct ts_control *c = ctx;

	c->ops.peer_upserted(c->ctx, peer);
}

static inline void sim_removed(void *ctx, struct ts_peer *peer)
{
	struct ts_control *c = ctx;

	c->ops.peer_removed(c->ctx, peer);
}

/* One map response, as JSON text. */
static inline void sim_map_text(struct sim_node *n, const char *text)
{
	struct ts_control *c = n->control;
	struct ts_netmap_sink sink = {sim_upserted, sim_removed, c};
	struct ts_map_response msg;
	unsigned changes = 0;
	bool is_first = !c->got_first;

	assert_int_equal(ts_map_response_read(text, strlen(text), &msg), 0);
	assert_int_equal(ts_netmap_apply(c->netmap, &msg, is_first,
					 c->ops.wall_clock(c->ctx), &sink,
					 &changes), 0);
	if (changes)
		c->ops.netmap_changed(c->ctx, changes);
	c->got_first = true;
	if (is_first) {
		c->state = TS_CONTROL_RUNNING;
		c->ops.state_changed(c->ctx, c->state, NULL);
	}
	if (msg.ping.url)
		c->ops.ping_request(c->ctx, msg.ping.url, msg.ping.types,
				    &msg.ping.ip);
	ts_map_response_deinit(&msg);
}

/* Steals json. */
static inline void sim_map(struct sim_node *n, json_t *json)
{
	char *text = json_dumps(json, 0);

	assert_non_null(text);
	json_decref(json);
	sim_map_text(n, text);
	free(text);
}

/* The control server's answer to the request under way; error: NULL. */
static inline void sim_answer(struct sim_node *n, int status, const char *body,
			      const char *error)
{
	struct ts_control *c = n->control;
	ts_control_reply_fn fn = c->call_fn;

	assert_non_null(fn);
	c->call_fn = NULL;
	ts_node_tick(n->node, n->sim->now_ms); /* it knows the time then */
	fn(c->call_ctx, status, body, body ? strlen(body) : 0, error);
}

static inline void sim_register(struct sim_node *n)
{
	struct ts_control *c = n->control;

	if (ts_private_key_is_zero(&c->node_key))
		ts_private_key_generate(&c->node_key);
	c->state = TS_CONTROL_STARTING_MAP;
	c->ops.state_changed(c->ctx, c->state, NULL);
	c->ops.persist_changed(c->ctx);
}

static inline json_t *sim_allow_all(void)
{
	return json_pack("[{s:[s],s:[{s:s,s:{s:i,s:i}}]}]", "SrcIPs", "*",
			 "DstPorts", "IP", "*", "Ports", "First", 0, "Last",
			 65535);
}

static inline json_t *sim_first_map(struct sim *sim, int index)
{
	json_t *peers = json_array(), *map;

	for (int i = 0; i < SIM_NODES; i++) {
		if (i != index && sim->nodes[i].node)
			json_array_append_new(peers, sim_node_json(sim, i));
	}
	map = json_pack(
		"{s:o,s:o,s:o,s:s,s:{s:b},s:{s:{s:{s:i,s:s,s:s,s:[{s:s,s:i,s:"
		"s}]}}},s:[{s:i,s:s,s:s}]}",
		"Node", sim_node_json(sim, index), "Peers", peers,
		"PacketFilter", sim_allow_all(), "Domain", "tail.example",
		"DNSConfig", "Proxied", true, "DERPMap", "Regions", "1",
		"RegionID", SIM_REGION, "RegionCode", "sim", "RegionName",
		"Sim", "Nodes", "Name", "1a", "RegionID", SIM_REGION,
		"HostName", "derp.example", "UserProfiles", "ID", 100,
		"LoginName", "ann@example.com", "DisplayName", "Ann");
	assert_non_null(map);
	return map;
}

/* Nodes 0..count-1, all logged in and Running. */
static inline struct sim *sim_up(int count, const struct sim_options *options)
{
	static const struct sim_options none;
	struct sim *sim = sim_new();

	for (int i = 0; i < count; i++)
		sim_add_node(sim, i, options ? options : &none);
	for (int i = 0; i < count; i++)
		sim_register(&sim->nodes[i]);
	for (int i = 0; i < count; i++)
		sim_map(&sim->nodes[i], sim_first_map(sim, i));
	sim_run(sim, 10000);
	for (int i = 0; i < count; i++)
		assert_int_equal(ts_node_state(sim->nodes[i].node), TS_RUNNING);
	return sim;
}

/* Fields that node `index` has in every map from now on; steals json. */
static inline void sim_set_extra(struct sim *sim, int index, json_t *json)
{
	json_decref(sim->extra[index]);
	sim->extra[index] = json;
}

/* Tell `to` the news about node `of`. */
static inline void sim_tell(struct sim *sim, int to, int of)
{
	sim_map(&sim->nodes[to],
		to == of ? json_pack("{s:o}", "Node", sim_node_json(sim, of))
			 : json_pack("{s:[o]}", "PeersChanged",
				     sim_node_json(sim, of)));
}

static inline struct sim_conn *sim_dial_ip(struct sim *sim, int from,
					   struct ts_ip ip, uint16_t port,
					   uint64_t bytes)
{
	struct sim_node *n = &sim->nodes[from];
	struct ts_addr remote = {ip, port};
	struct sim_conn *c = sim_conn_new(n);
	int err = 0;

	c->to_write = bytes;
	c->tcp = stack_tcp_dial(ts_node_stack(n->node), &remote, 0,
				&sim_conn_ops, c, sim->now_ms, &err);
	assert_non_null(c->tcp);
	return c;
}

static inline struct sim_conn *sim_dial(struct sim *sim, int from, int to,
					uint64_t bytes)
{
	return sim_dial_ip(sim, from, sim_ip(to), 80, bytes);
}

static inline void sim_on_ping(void *ctx, const struct ts_ping_result *result)
{
	struct sim_node *n = ctx;

	n->ping = *result;
	n->pings++;
}

static inline void sim_ping(struct sim *sim, int from, struct ts_ip ip,
			    enum ts_ping_kind kind)
{
	struct sim_node *n = &sim->nodes[from];

	n->pings = 0;
	ts_node_ping(n->node, &ip, kind, 0, sim->now_ms, sim_on_ping, n);
}

static inline const struct ts_peer *sim_peer(struct sim *sim, int at, int of)
{
	return ts_netmap_known_peer_by_id(ts_node_netmap(sim->nodes[at].node),
				    of + 1);
}

static inline struct ts_node_peer_status sim_peer_status(struct sim *sim,
							 int at, int of)
{
	struct ts_node_peer_status status;

	ts_node_peer_status(sim->nodes[at].node, sim_peer(sim, at, of),
			    sim->now_ms, &status);
	return status;
}

#endif
