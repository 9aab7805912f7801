/* SPDX-License-Identifier: BSD-3-Clause
 * lab_relay.c - DERP's packets on their way from one client to another
 *
 * Packets are counted per pair of nodes, disco and WireGuard apart, so that a
 * test can tell which path data took. With a delay, packets wait in order of
 * arrival; a delay made shorter does not let one overtake another.
 */
#include "tests/lab/lab_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/key_map.h"
#include "tests/lab/lab.h"

enum {
	PAIR_KEY_LEN = 2 * TS_KEY_LEN,
	DISCO_MAGIC_LEN = 6,
	DISCO_MIN_LEN = DISCO_MAGIC_LEN + TS_KEY_LEN + 24,
	DELAYED_MAX_BYTES = 64 << 20,
};

static const uint8_t DISCO_MAGIC[DISCO_MAGIC_LEN] = {0x54, 0x53, 0xf0,
						     0x9f, 0x92, 0xac};

struct pair {
	struct ts_public_key src, dst;
	uint64_t disco_packets, disco_bytes, other_packets, other_bytes, lost;
};

struct delayed {
	struct delayed *next;
	uint64_t due_ms;
	struct ts_public_key src, dst;
	size_t len;
	uint8_t pkt[];
};

struct lab_relay {
	struct ts_loop *loop;
	struct ts_timer *timer;
	lab_relay_fn deliver;
	void *ctx;
	struct ts_key_map pairs; /* src, dst -> struct pair */
	struct delayed *first, **last;
	size_t delayed_bytes;
	uint64_t delay_ms;
};

bool lab_relay_is_disco(const uint8_t *pkt, size_t len)
{
	return len >= DISCO_MIN_LEN &&
	       !memcmp(pkt, DISCO_MAGIC, DISCO_MAGIC_LEN);
}

static struct pair *pair_of(struct lab_relay *relay,
			    const struct ts_public_key *src,
			    const struct ts_public_key *dst)
{
	uint8_t key[PAIR_KEY_LEN];
	struct pair *pair;

	memcpy(key, src->bytes, TS_KEY_LEN);
	memcpy(key + TS_KEY_LEN, dst->bytes, TS_KEY_LEN);
	pair = ts_key_map_get(&relay->pairs, key);
	if (pair)
		return pair;
	pair = calloc(1, sizeof(*pair));
	if (!pair)
		return NULL;
	pair->src = *src;
	pair->dst = *dst;
	if (ts_key_map_put(&relay->pairs, key, pair)) {
		free(pair);
		return NULL;
	}
	return pair;
}

static void count(struct pair *pair, const uint8_t *pkt, size_t len, bool lost)
{
	pair->lost += lost;
	if (lab_relay_is_disco(pkt, len)) {
		pair->disco_packets++;
		pair->disco_bytes += len;
	} else {
		pair->other_packets++;
		pair->other_bytes += len;
	}
}

static void hold_back(struct lab_relay *relay, const struct ts_public_key *src,
		      const struct ts_public_key *dst, const uint8_t *pkt,
		      size_t len)
{
	struct delayed *d;

	if (relay->delayed_bytes + len > DELAYED_MAX_BYTES)
		return;
	d = malloc(sizeof(*d) + len);
	if (!d)
		return;
	*d = (struct delayed){.src = *src, .dst = *dst, .len = len};
	d->due_ms = ts_loop_now_ms(relay->loop) + relay->delay_ms;
	memcpy(d->pkt, pkt, len);
	*relay->last = d;
	relay->last = &d->next;
	relay->delayed_bytes += len;
	ts_timer_set(relay->timer, relay->first->due_ms);
}

static struct delayed *take_first(struct lab_relay *relay)
{
	struct delayed *d = relay->first;

	relay->first = d->next;
	if (!relay->first)
		relay->last = &relay->first;
	relay->delayed_bytes -= d->len;
	return d;
}

static void on_due(void *ctx)
{
	struct lab_relay *relay = ctx;

	while (relay->first &&
	       relay->first->due_ms <= ts_loop_now_ms(relay->loop)) {
		struct delayed *d = take_first(relay);

		relay->deliver(relay->ctx, &d->src, &d->dst, d->pkt, d->len);
		free(d);
	}
	ts_timer_set(relay->timer,
		     relay->first ? relay->first->due_ms : UINT64_MAX);
}

void lab_relay_packet(struct lab_relay *relay, const struct ts_public_key *src,
		      const struct ts_public_key *dst, const uint8_t *pkt,
		      size_t len, bool lost)
{
	struct pair *pair = pair_of(relay, src, dst);

	if (pair)
		count(pair, pkt, len, lost);
	if (lost)
		return;
	if (relay->delay_ms || relay->first)
		hold_back(relay, src, dst, pkt, len);
	else
		relay->deliver(relay->ctx, src, dst, pkt, len);
}

void lab_relay_delay(struct lab_relay *relay, uint64_t delay_ms)
{
	relay->delay_ms = delay_ms;
}

static json_t *node_name(const struct lab *lab, const struct ts_public_key *key)
{
	const struct lab_node *node = lab_node_by_key(&lab->state, key);
	char text[TS_KEY_TEXT_CAP];

	if (node)
		return json_string(node->name);
	return json_string(ts_public_key_format(key, TS_PREFIX_NODE, text));
}

json_t *lab_relay_stats(const struct lab_relay *relay, const struct lab *lab)
{
	json_t *list = json_array();
	const struct pair *pair;
	size_t pos = 0;

	while ((pair = ts_key_map_next(&relay->pairs, &pos)))
		json_array_append_new(
			list,
			json_pack(
				"{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
				"from", node_name(lab, &pair->src), "to",
				node_name(lab, &pair->dst), "packets",
				(json_int_t)(pair->disco_packets +
					     pair->other_packets),
				"bytes",
				(json_int_t)(pair->disco_bytes +
					     pair->other_bytes),
				"disco_packets",
				(json_int_t)pair->disco_packets, "disco_bytes",
				(json_int_t)pair->disco_bytes,
				"wireguard_packets",
				(json_int_t)pair->other_packets,
				"wireguard_bytes",
				(json_int_t)pair->other_bytes, "lost",
				(json_int_t)pair->lost));
	return list;
}

int lab_relay_new(struct ts_loop *loop, uint64_t seed, lab_relay_fn deliver,
		  void *ctx, struct lab_relay **out)
{
	struct lab_relay *relay = calloc(1, sizeof(*relay));

	if (!relay)
		return -ENOMEM;
	*relay = (struct lab_relay){
		.loop = loop, .deliver = deliver, .ctx = ctx};
	relay->last = &relay->first;
	ts_key_map_init(&relay->pairs, PAIR_KEY_LEN, seed);
	relay->timer = ts_timer_new(loop, on_due, relay);
	if (!relay->timer) {
		lab_relay_free(relay);
		return -ENOMEM;
	}
	*out = relay;
	return 0;
}

void lab_relay_free(struct lab_relay *relay)
{
	struct pair *pair;
	size_t pos = 0;

	if (!relay)
		return;
	while (relay->first)
		free(take_first(relay));
	while ((pair = ts_key_map_next(&relay->pairs, &pos)))
		free(pair);
	ts_key_map_deinit(&relay->pairs);
	ts_timer_free(relay->timer);
	free(relay);
}
