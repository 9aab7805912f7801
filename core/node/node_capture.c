/* SPDX-License-Identifier: BSD-3-Clause
 * node_capture.c - who listens to the packets inside the tunnel
 *
 * Where nobody does, node->capture is NULL, and that is all a packet costs.
 * Each listener has a queue of its own and is woken when something comes into
 * it. One that reads too slowly loses packets, never the node's time: the next
 * record says how many are missing.
 *
 * What a program sends is taken before the filter has its say and before our
 * address is translated; what a peer sends after both checks of its source,
 * and before the filter. So a refused packet is seen too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/node/capture.h"
#include "core/node/node_internal.h"
#include "core/path/disco_wire.h"

enum { SINKS_MAX = 4, QUEUE_MAX = 8 * 1024 * 1024 };

struct ts_capture_sink {
	struct ts_node *node; /* NULL: the node has ended */
	struct ts_capture_sink *next;
	enum ts_capture_format format;
	struct ts_byte_queue queue;
	void (*wake)(void *ctx);
	void *ctx;
	uint64_t dropped; /* since the last record */
	uint64_t packets, dropped_in_all;
};

/* -- records -------------------------------------------------------------- */

/* In one piece or not at all. */
static bool push_record(struct ts_capture_sink *sink,
			const struct ts_capture_packet *p, const uint8_t *data)
{
	uint8_t before[TS_CAPTURE_RECORD_MAX], after[TS_CAPTURE_RECORD_MAX];
	struct ts_writer b = ts_writer_init(before, sizeof(before));
	struct ts_writer a = ts_writer_init(after, sizeof(after));
	size_t room = sink->queue.limit - ts_byte_queue_len(&sink->queue);
	uint8_t *bytes;
	int err;

	ts_capture_write_before(sink->format, p, &b);
	ts_capture_write_after(sink->format, p, &a);
	if (b.bad || a.bad || p->len > room || room - p->len < b.len + a.len)
		return false;
	bytes = malloc(b.len + p->len + a.len);
	if (!bytes)
		return false;
	memcpy(bytes, before, b.len);
	memcpy(bytes + b.len, data, p->len);
	memcpy(bytes + b.len + p->len, after, a.len);
	err = ts_byte_queue_push(&sink->queue, bytes, b.len + p->len + a.len);
	free(bytes);
	return err == 0;
}

static void give(struct ts_capture_sink *sink, struct ts_capture_packet *p,
		 const uint8_t *data)
{
	p->dropped = sink->dropped;
	if (!push_record(sink, p, data)) {
		sink->dropped++;
		sink->dropped_in_all++;
		return;
	}
	sink->packets++;
	sink->dropped = 0;
	sink->wake(sink->ctx);
}

static void give_all(struct ts_node *node, struct ts_capture_packet *p,
		     const uint8_t *data)
{
	p->wall_ns = node->io.wall_clock_ns(node->io_ctx);
	for (struct ts_capture_sink *s = node->capture; s; s = s->next)
		if (ts_capture_has(s->format, p->path))
			give(s, p, data);
}

/* -- comments ------------------------------------------------------------- */

static void write_derp(const struct ts_node *node, int region, char *out,
		       size_t cap)
{
	const struct ts_derp_region *r = ts_derp_map_region(
		ts_node_netmap(node)->derp_map, region);

	if (r && r->code)
		snprintf(out, cap, "DERP(%s)", r->code);
	else
		snprintf(out, cap, "DERP(%d)", region);
}

static void write_way(const struct ts_node *node,
		      const struct ts_path_addr *addr, char *out, size_t cap)
{
	char text[TS_PATH_ADDR_TEXT_CAP];

	if (ts_path_is_derp(addr))
		write_derp(node, addr->addr.port, out, cap);
	else
		snprintf(out, cap, "%s %s",
			 addr->vni ? "peer-relay" : "direct",
			 ts_path_addr_format(addr, text));
}

static void write_way_out(const struct ts_node *node,
			  const struct ts_peer *peer, char *out, size_t cap)
{
	struct ts_node_peer_status status;

	ts_node_peer_status(node, peer, node->now_ms, &status);
	if (status.path.is_direct || status.path.is_relayed)
		write_way(node, &status.path.best, out, cap);
	else
		write_derp(node, status.path.derp_region, out, cap);
}

static const char *name_of(const struct ts_peer *peer)
{
	if (peer->name && *peer->name)
		return peer->name;
	return peer->hostname ? peer->hostname : "?";
}

/* "to web.tail1234.ts.net. via direct 203.0.113.7:41641" */
static void write_comment(char out[static TS_CAPTURE_COMMENT_MAX],
			  const char *direction, const struct ts_peer *peer,
			  const char *way)
{
	if (peer)
		snprintf(out, TS_CAPTURE_COMMENT_MAX, "%s %.256s via %s",
			 direction, name_of(peer), way);
	else
		snprintf(out, TS_CAPTURE_COMMENT_MAX, "%s nobody", direction);
}

/* -- packets -------------------------------------------------------------- */

void node_capture_out(struct ts_node *node, enum ts_capture_path path,
		      const struct ts_peer *peer, const uint8_t *data,
		      size_t len)
{
	char comment[TS_CAPTURE_COMMENT_MAX], way[128] = "";
	struct ts_capture_packet p = {.path = path, .len = len,
				      .comment = comment};

	if (peer)
		write_way_out(node, peer, way, sizeof(way));
	write_comment(comment, "to", peer, way);
	give_all(node, &p, data);
}

void node_capture_in(struct ts_node *node, const struct ts_peer *peer,
		     const struct ts_packet *pkt,
		     const struct ts_ip *dst_before)
{
	char comment[TS_CAPTURE_COMMENT_MAX], way[128] = "?";
	struct ts_capture_packet p = {
		.path = TS_CAPTURE_FROM_PEER,
		.len = pkt->len,
		.dst_before = dst_before,
		.comment = comment,
	};

	if (node->heard_from)
		write_way(node, node->heard_from, way, sizeof(way));
	write_comment(comment, "from", peer, way);
	give_all(node, &p, pkt->data);
}

/* "disco ping from web.tail1234.ts.net. via direct 203.0.113.7:41641" */
static void write_disco_comment(const struct ts_node *node,
				const struct ts_peer *peer,
				const struct ts_path_addr *from,
				const uint8_t *payload, size_t len,
				char out[static TS_CAPTURE_COMMENT_MAX])
{
	static const char *const names[] = {
		[DISCO_PING] = "ping",
		[DISCO_PONG] = "pong",
		[DISCO_CALL_ME_MAYBE] = "call-me-maybe",
	};
	const char *name = len > 0 && *payload < ARRAY_LEN(names)
				   ? names[*payload]
				   : NULL;
	char direction[64], way[128];

	snprintf(direction, sizeof(direction), "disco %s from",
		 name ? name : "message");
	write_way(node, from, way, sizeof(way));
	if (peer)
		write_comment(out, direction, peer, way);
	else
		snprintf(out, TS_CAPTURE_COMMENT_MAX, "%s a relay via %s",
			 direction, way);
}

void node_capture_disco(struct ts_node *node, const struct ts_path_peer *peer,
			const struct ts_path_addr *from,
			const uint8_t *payload, size_t len)
{
	static const struct ts_public_key nobody;
	uint8_t frame[TS_CAPTURE_FRAME_MAX + DISCO_PAYLOAD_MAX_LEN];
	struct ts_writer w = ts_writer_init(frame, sizeof(frame));
	const struct node_peer *np = peer ? ts_path_peer_ctx(peer) : NULL;
	bool is_derp = ts_path_is_derp(from);
	char comment[TS_CAPTURE_COMMENT_MAX];
	struct ts_capture_packet p = {.path = TS_CAPTURE_DISCO,
				      .comment = comment};

	ts_capture_disco_frame(&from->addr, is_derp,
			       np && is_derp ? &np->peer->key : &nobody,
			       payload, len, &w);
	if (w.bad)
		return;
	p.len = w.len;
	write_disco_comment(node, np ? np->peer : NULL, from, payload, len,
			    comment);
	give_all(node, &p, frame);
}

/* -- listeners ------------------------------------------------------------ */

static size_t count_sinks(const struct ts_node *node)
{
	size_t n = 0;

	for (const struct ts_capture_sink *s = node->capture; s; s = s->next)
		n++;
	return n;
}

int ts_node_capture_open(struct ts_node *node, enum ts_capture_format format,
			 void (*wake)(void *ctx), void *ctx,
			 struct ts_capture_sink **out)
{
	uint8_t head[TS_CAPTURE_HEAD_MAX];
	struct ts_writer w = ts_writer_init(head, sizeof(head));
	struct ts_capture_sink *sink;

	if (count_sinks(node) >= SINKS_MAX)
		return -EAGAIN;
	sink = calloc(1, sizeof(*sink));
	if (!sink)
		return -ENOMEM;
	ts_byte_queue_init(&sink->queue, QUEUE_MAX);
	ts_capture_write_head(format, &w);
	if (w.bad || ts_byte_queue_push(&sink->queue, head, w.len)) {
		free(sink);
		return -ENOMEM;
	}
	sink->format = format;
	sink->wake = wake;
	sink->ctx = ctx;
	sink->node = node;
	sink->next = node->capture;
	node->capture = sink;
	*out = sink;
	return 0;
}

size_t ts_capture_read(struct ts_capture_sink *sink, void *out, size_t cap)
{
	size_t len = ts_byte_queue_len(&sink->queue);
	size_t n = len < cap ? len : cap;

	if (n > 0)
		memcpy(out, ts_byte_queue_data(&sink->queue), n);
	ts_byte_queue_drop(&sink->queue, n);
	return n;
}

bool ts_capture_has_ended(const struct ts_capture_sink *sink)
{
	return !sink->node && ts_byte_queue_len(&sink->queue) == 0;
}

void ts_capture_close(struct ts_capture_sink *sink)
{
	struct ts_capture_sink **at;

	if (sink->node) {
		for (at = &sink->node->capture; *at != sink;)
			at = &(*at)->next;
		*at = sink->next;
	}
	log_info("capture: ended after %llu packets, %llu more were lost, as "
		 "the reader was too slow", (unsigned long long)sink->packets,
		 (unsigned long long)sink->dropped_in_all);
	ts_byte_queue_deinit(&sink->queue);
	free(sink);
}

void node_capture_end(struct ts_node *node)
{
	while (node->capture) {
		struct ts_capture_sink *sink = node->capture;

		node->capture = sink->next;
		sink->node = NULL;
		sink->wake(sink->ctx);
	}
}
