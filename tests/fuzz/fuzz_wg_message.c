/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_wg_message.c - what a device does with what the network brings
 *
 * The input is a list of steps, each {kind, length, bytes}. Random bytes stop
 * at mac1 and at the seals, so some kinds help them through: mac1 is made
 * right, the bytes travel as the plain text of a real session, or they change
 * a genuine message, as somebody on the way could.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "core/wireguard/wg_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum kind { RAW, RIGHT_MAC, PLAIN, MUTATE, WAIT, LOAD, KIND_COUNT };
enum { MSG_CAP = 512, STEPS_MAX = 64 };

struct side {
	struct ts_wg *wg;
	struct ts_wg_peer *peer;
	struct ts_public_key public;
	uint8_t last[MSG_CAP]; /* what this side sent last */
	size_t last_len;
};

static struct side sides[2];
static uint64_t now_ms;

static void on_send(void *ctx, void *peer_ctx, struct ts_packet *pkt)
{
	struct side *side = ctx;

	(void)peer_ctx;
	if (pkt->len > MSG_CAP)
		abort();
	memcpy(side->last, pkt->data, pkt->len);
	side->last_len = pkt->len;
}

static void on_deliver(void *ctx, void *peer_ctx, struct ts_packet *pkt)
{
	(void)ctx;
	(void)peer_ctx;
	if (ts_wg_inner_len(pkt->data, pkt->len) != pkt->len)
		abort();
}

static struct ts_wg_peer *on_unknown(void *ctx, const struct ts_public_key *key)
{
	(void)ctx;
	(void)key;
	return NULL;
}

static uint64_t on_clock(void *ctx)
{
	(void)ctx;
	return 1790000000000000000ULL + now_ms * 1000000;
}

static void input(int to, const uint8_t *bytes, size_t len)
{
	static const struct ts_addr from = {.port = 41641};
	uint8_t *copy = malloc(len + 1), reply[64];
	struct ts_packet pkt = {.data = copy, .len = len};
	size_t reply_len;
	void *who;
	int err;

	if (len > 0)
		memcpy(copy, bytes, len);
	err = ts_wg_input(sides[to].wg, &from, len % 2, &pkt, now_ms, &who,
			  reply, &reply_len);
	if ((err && who) || err > 0 || (reply_len && err != -EAGAIN))
		abort();
	free(copy);
}

static void send_plain(int from, const uint8_t *bytes, size_t len)
{
	uint8_t buf[TS_PACKET_HEADROOM + 256 + TS_PACKET_TAILROOM];
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM, .len = len};

	memcpy(pkt.data, bytes, len);
	ts_wg_send(sides[from].wg, sides[from].peer, &pkt, now_ms);
	input(!from, sides[from].last, sides[from].last_len);
}

static void send_with_mac(int to, const uint8_t *bytes, size_t len)
{
	uint8_t msg[WG_INITIATION_LEN] = {0};
	size_t want = len > 0 && bytes[0] == WG_RESPONSE ? WG_RESPONSE_LEN
							 : WG_INITIATION_LEN;
	struct ts_wg_cookie_jar jar;

	memcpy(msg, bytes, len < want ? len : want);
	ts_wg_cookie_jar_init(&jar, &sides[to].public);
	ts_wg_macs_add(&jar, msg, want, now_ms);
	input(to, msg, want);
}

/* The other side's last message with one byte changed, or cut. */
static void send_mutated(int to, const uint8_t *bytes, size_t len)
{
	struct side *from = &sides[!to];
	uint8_t msg[MSG_CAP];
	size_t msg_len = from->last_len;

	memcpy(msg, from->last, msg_len);
	if (len >= 2 && msg_len > 0)
		msg[bytes[0] % msg_len] ^= bytes[1];
	if (len >= 3 && bytes[2] < msg_len)
		msg_len -= bytes[2];
	input(to, msg, msg_len);
}

static void step(uint8_t op, const uint8_t *bytes, size_t len)
{
	int to = op >> 7;

	switch (op % KIND_COUNT) {
	case RAW:
		input(to, bytes, len);
		break;
	case RIGHT_MAC:
		send_with_mac(to, bytes, len);
		break;
	case PLAIN:
		send_plain(!to, bytes, len);
		break;
	case MUTATE:
		send_mutated(to, bytes, len);
		break;
	case WAIT:
		now_ms += len > 0 ? bytes[0] * 1000u : 10;
		ts_wg_tick(sides[to].wg, now_ms);
		break;
	case LOAD:
		for (int i = 0; i < 2 * WG_LOAD_QUEUE_MAX; i++)
			ts_wg_load_is_high(&sides[to].wg->load, now_ms);
		break;
	}
}

static void meet(void)
{
	static const struct ts_wg_ops ops = {.send = on_send,
					     .deliver = on_deliver,
					     .unknown_peer = on_unknown,
					     .wall_clock_ns = on_clock};
	static const uint8_t hello[] = {0x45, 0, 0, 20, 0, 0, 0, 0, 0, 0,
					0,    0, 0, 0,  0, 0, 0, 0, 0, 0};

	memset(sides, 0, sizeof(sides));
	now_ms = 1000;
	for (int i = 0; i < 2; i++) {
		struct ts_private_key key;

		memset(key.bytes, 0x40 + i, sizeof(key.bytes));
		ts_public_key_from_private(&key, &sides[i].public);
		sides[i].wg = ts_wg_new(&key, &ops, &sides[i]);
	}
	for (int i = 0; i < 2; i++)
		sides[i].peer = ts_wg_peer_add(sides[i].wg, &sides[!i].public,
					       &sides[!i]);
	send_plain(0, hello, sizeof(hello)); /* the initiation */
	input(0, sides[1].last, sides[1].last_len);
	input(1, sides[0].last, sides[0].last_len);
	if (!sides[1].peer->keypairs.current)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_reader r = ts_reader_init(data, len);

	ts_crypto_init();
	ts_log_set_level(TS_LOG_OFF);
	meet();
	for (int i = 0; i < STEPS_MAX && r.left >= 2; i++) {
		uint8_t op = ts_read_u8(&r);
		size_t n = ts_read_u8(&r);
		const uint8_t *bytes;

		if (n > r.left)
			n = r.left;
		bytes = ts_read_view(&r, n);
		step(op, bytes, n);
	}
	for (int i = 0; i < 2; i++)
		ts_wg_free(sides[i].wg);
	return 0;
}
