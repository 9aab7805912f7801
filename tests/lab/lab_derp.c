/* SPDX-License-Identifier: BSD-3-Clause
 * lab_derp.c - a DERP server: its connections, and who gets what
 *
 * A connection starts as HTTP/1.1 over TLS (lab_derp_http.c) and turns into
 * frames (lab_derp_frames.c).
 *
 * Of several connections with one key, the one that spoke last gets the
 * packets. When a key's last connection goes, everybody it sent something to
 * gets PeerGone. A client that does not read its packets loses them once
 * QUEUE_MAX_BYTES wait. What is relayed, and to whom, is lab_relay.c.
 * Source: derp/derpserver/{derpserver,handler}.go
 */
#include "tests/lab/lab_derp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/http1.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/derp_wire.h"
#include "tests/lab/lab_derp_client.h"
#include "tests/lab/lab_listener.h"
#include "tests/lab/lab_peer_relay.h"
#include "tests/lab/lab_relay.h"

enum {
	QUEUE_MAX_BYTES = 512 << 10,
	HANDSHAKE_MS = 10000,
	HEALTH_MAX = 512,
};

struct lab_derp_client *lab_derp_active(const struct lab_derp *derp,
					const struct ts_public_key *key)
{
	return ts_key_map_get(&derp->by_key, key->bytes);
}

/* -- sending -------------------------------------------------------------- */

int lab_derp_write_small(struct lab_derp_client *c, const struct ts_writer *w,
			 const uint8_t *buf)
{
	return w->bad ? -ENOBUFS : lab_stream_write(c->stream, buf, w->len);
}

static void send_gone(struct lab_derp_client *c,
		      const struct ts_public_key *peer,
		      enum ts_derp_gone_reason reason)
{
	uint8_t buf[DERP_SMALL_FRAME_CAP];
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));

	c->derp->gone_sent++;
	ts_derp_write_peer_gone(&w, peer, reason);
	lab_derp_write_small(c, &w, buf);
}

/* From the relay: hand a packet to whoever has dst's key now. */
static void deliver(void *ctx, const struct ts_public_key *src,
		    const struct ts_public_key *dst, const uint8_t *pkt,
		    size_t len)
{
	struct lab_derp *derp = ctx;
	struct lab_derp_client *to = lab_derp_active(derp, dst),
			       *from = lab_derp_active(derp, src);
	uint8_t head[DERP_PACKET_HEADER_LEN];

	if (lab_peer_relay_packet(derp->lab->peer_relay, derp, src, dst, pkt,
				  len))
		return;
	if (!to) {
		derp->dropped++;
		if (from && lab_relay_is_disco(pkt, len))
			send_gone(from, dst, DERP_GONE_NOT_HERE);
		return;
	}
	if (lab_stream_queued(to->stream) + len > QUEUE_MAX_BYTES ||
	    ts_derp_write_packet_header(head, DERP_RECV_PACKET, src, len)) {
		derp->dropped++;
		return;
	}
	lab_stream_write(to->stream, head, sizeof(head));
	lab_stream_write(to->stream, pkt, len);
}

void lab_derp_inject(struct lab_derp *derp, const struct ts_public_key *src,
		     const struct ts_public_key *dst, const uint8_t *pkt,
		     size_t len)
{
	lab_relay_packet(derp->relay, src, dst, pkt, len, derp->blackhole);
}

/* -- connections come and go ---------------------------------------------- */

static struct lab_derp_client *
another_with_key(const struct lab_derp_client *gone)
{
	struct lab_derp_client *c = gone->derp->clients;

	while (c && (c == gone || c->state != LAB_DERP_READY ||
		     !ts_public_key_equal(&c->key, &gone->key)))
		c = c->next;
	return c;
}

static void tell_gone(struct lab_derp_client *gone)
{
	struct ts_public_key *peer;
	struct lab_derp_client *to;
	size_t pos = 0;

	while ((peer = ts_key_map_next(&gone->sent_to, &pos))) {
		to = lab_derp_active(gone->derp, peer);
		if (to && to != gone)
			send_gone(to, &gone->key, DERP_GONE_DISCONNECTED);
	}
}

static void unregister(struct lab_derp_client *c)
{
	struct lab_derp_client *heir;

	if (lab_derp_active(c->derp, &c->key) != c)
		return;
	heir = another_with_key(c);
	if (heir) {
		ts_key_map_put(&c->derp->by_key, c->key.bytes, heir);
	} else {
		ts_key_map_take(&c->derp->by_key, c->key.bytes);
		tell_gone(c);
	}
}

static void client_free(struct lab_derp_client *c)
{
	struct ts_public_key *peer;
	size_t pos = 0;

	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	if (c->state == LAB_DERP_READY || c->state == LAB_DERP_CLOSING)
		unregister(c);
	while ((peer = ts_key_map_next(&c->sent_to, &pos)))
		free(peer);
	ts_key_map_deinit(&c->sent_to);
	ts_timer_free(c->timer);
	lab_stream_free(c->stream);
	ts_byte_queue_deinit(&c->head);
	ts_derp_stream_deinit(&c->frames);
	ts_wipe(&c->box, sizeof(c->box));
	free(c);
}

static void client_fail(struct lab_derp_client *c, int err)
{
	log_info("derp-client-%u: %s", c->id, ts_strerror(err));
	client_free(c);
}

static void on_timer(void *ctx)
{
	struct lab_derp_client *c = ctx;
	uint8_t buf[DERP_SMALL_FRAME_CAP];
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));

	if (c->state != LAB_DERP_READY) {
		client_fail(c, -ETIMEDOUT);
		return;
	}
	ts_derp_write_frame(&w, DERP_KEEP_ALIVE, NULL, 0);
	lab_derp_write_small(c, &w, buf);
	ts_timer_set(c->timer, ts_loop_now_ms(c->derp->lab->loop) +
				       LAB_DERP_KEEP_ALIVE_MS);
}

/* -- the stream ----------------------------------------------------------- */

static void on_input(void *ctx, const uint8_t *data, size_t len)
{
	struct lab_derp_client *c = ctx;
	int err = 0;

	if (c->state == LAB_DERP_HTTP) {
		err = ts_byte_queue_push(&c->head, data, len);
		if (!err)
			err = lab_derp_read_head(c);
	} else if (c->state != LAB_DERP_CLOSING) {
		err = ts_derp_stream_input(&c->frames, data, len,
					   lab_derp_on_frame, c);
	}
	if (err)
		client_fail(c, err);
}

static void on_closed(void *ctx, int err)
{
	struct lab_derp_client *c = ctx;

	log_debug("derp-client-%u: closed: %s", c->id, ts_strerror(err));
	client_free(c);
}

static const struct lab_stream_ops STREAM_OPS = {
	.input = on_input,
	.closed = on_closed,
};

static void accepted(void *ctx, int fd)
{
	struct lab_derp *derp = ctx;
	struct lab_derp_client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->derp = derp;
	c->id = ++derp->last_id;
	c->next = derp->clients;
	c->pprev = &derp->clients;
	if (c->next)
		c->next->pprev = &c->next;
	derp->clients = c;
	ts_byte_queue_init(&c->head, 4 * TS_HTTP1_HEAD_MAX);
	ts_derp_stream_init(&c->frames);
	ts_key_map_init(&c->sent_to, TS_KEY_LEN, derp->seed);
	c->timer = ts_timer_new(derp->lab->loop, on_timer, c);
	c->stream =
		lab_stream_new(derp->lab->loop, fd, derp->tls, &STREAM_OPS, c);
	if (!c->timer || !c->stream) {
		client_free(c);
		return;
	}
	ts_timer_set(c->timer, ts_loop_now_ms(derp->lab->loop) + HANDSHAKE_MS);
	if (derp->stalled)
		lab_stream_stall(c->stream, true);
}

/* -- the server ----------------------------------------------------------- */

static int open_parts(struct lab_derp *derp, const struct ts_addr *bind_to)
{
	const struct lab_options *opt = &derp->lab->opt;
	int err;

	if (!opt->no_derp_tls) {
		derp->tls = lab_tls_context(&derp->lab->tls,
					    opt->derp_fast_start ? &derp->public
								 : NULL);
		if (!derp->tls)
			return -EIO;
	}
	err = lab_relay_new(derp->lab->loop, derp->seed, deliver, derp,
			    &derp->relay);
	if (err)
		return err;
	return lab_listener_open(derp->lab->loop, bind_to, accepted, derp,
				 &derp->listener);
}

int lab_derp_open(struct lab *lab, const struct ts_addr *bind_to,
		  struct lab_derp **out)
{
	struct lab_derp *derp = calloc(1, sizeof(*derp));
	int err;

	if (!derp)
		return -ENOMEM;
	derp->lab = lab;
	ts_random_bytes(&derp->seed, sizeof(derp->seed));
	ts_private_key_generate(&derp->key);
	ts_public_key_from_private(&derp->key, &derp->public);
	ts_key_map_init(&derp->by_key, TS_KEY_LEN, derp->seed);
	err = open_parts(derp, bind_to);
	if (err)
		lab_derp_close(derp);
	else
		*out = derp;
	return err;
}

void lab_derp_close(struct lab_derp *derp)
{
	if (!derp)
		return;
	lab_listener_close(derp->listener);
	lab_derp_drop_all(derp);
	lab_relay_free(derp->relay);
	ts_key_map_deinit(&derp->by_key);
	SSL_CTX_free(derp->tls);
	ts_wipe(&derp->key, sizeof(derp->key));
	free(derp);
}

uint16_t lab_derp_port(const struct lab_derp *derp)
{
	return lab_listener_port(derp->listener);
}

size_t lab_derp_drop_all(struct lab_derp *derp)
{
	size_t count = 0;

	for (; derp->clients; count++)
		client_free(derp->clients);
	return count;
}

int lab_derp_refuse(struct lab_derp *derp, bool on)
{
	return lab_listener_refuse(derp->listener, on);
}

void lab_derp_stall(struct lab_derp *derp, bool on)
{
	derp->stalled = on;
	for (struct lab_derp_client *c = derp->clients; c; c = c->next)
		lab_stream_stall(c->stream, on);
}

void lab_derp_blackhole(struct lab_derp *derp, bool on)
{
	derp->blackhole = on;
}

size_t lab_derp_restart(struct lab_derp *derp, uint32_t reconnect_in_ms)
{
	uint8_t buf[DERP_SMALL_FRAME_CAP];
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));
	size_t count = 0;

	ts_derp_write_restarting(&w, reconnect_in_ms, 60000);
	for (struct lab_derp_client *c = derp->clients; c; c = c->next) {
		if (c->state != LAB_DERP_READY)
			continue;
		lab_derp_write_small(c, &w, buf);
		lab_stream_finish(c->stream);
		c->state = LAB_DERP_CLOSING;
		count++;
	}
	return count;
}

void lab_derp_delay(struct lab_derp *derp, uint64_t delay_ms)
{
	lab_relay_delay(derp->relay, delay_ms);
}

void lab_derp_health(struct lab_derp *derp, const char *text)
{
	uint8_t buf[DERP_FRAME_HEADER_LEN + HEALTH_MAX];
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));

	if (ts_derp_write_frame(&w, DERP_HEALTH, text, strlen(text)))
		return;
	for (struct lab_derp_client *c = derp->clients; c; c = c->next)
		if (c->state == LAB_DERP_READY)
			lab_derp_write_small(c, &w, buf);
}

bool lab_derp_has_client(const struct lab_derp *derp,
			 const struct ts_public_key *key)
{
	return lab_derp_active(derp, key) != NULL;
}

json_t *lab_derp_stats(const struct lab_derp *derp)
{
	json_int_t connections = 0, homes = 0;

	for (const struct lab_derp_client *c = derp->clients; c; c = c->next) {
		connections++;
		homes += c->preferred;
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "connections",
			 connections, "homes", homes, "accepted",
			 (json_int_t)derp->last_id, "handshakes",
			 (json_int_t)derp->handshakes, "gone_sent",
			 (json_int_t)derp->gone_sent, "dropped",
			 (json_int_t)derp->dropped, "pairs",
			 lab_relay_stats(derp->relay, derp->lab));
}
