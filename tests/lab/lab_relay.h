/* SPDX-License-Identifier: BSD-3-Clause
 * lab_relay.h - DERP's packets on their way from one client to another
 */
#ifndef TESTS_LAB_LAB_RELAY_H
#define TESTS_LAB_LAB_RELAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/crypto/keys.h"
#include "core/loop/loop.h"

struct lab;
struct lab_relay;

typedef void (*lab_relay_fn)(void *ctx, const struct ts_public_key *src,
			     const struct ts_public_key *dst,
			     const uint8_t *pkt, size_t len);

/* 0 or -ENOMEM */
int lab_relay_new(struct ts_loop *loop, uint64_t seed, lab_relay_fn deliver,
		  void *ctx, struct lab_relay **out);
void lab_relay_free(struct lab_relay *relay); /* NULL is fine */
/* Counts the packet and delivers it, now or later; lost: only counts. */
void lab_relay_packet(struct lab_relay *relay, const struct ts_public_key *src,
		      const struct ts_public_key *dst, const uint8_t *pkt,
		      size_t len, bool lost);
void lab_relay_delay(struct lab_relay *relay, uint64_t delay_ms);
bool lab_relay_is_disco(const uint8_t *pkt, size_t len);
/* [{from, to, packets, bytes, disco_packets, wireguard_packets, ...}] */
json_t *lab_relay_stats(const struct lab_relay *relay, const struct lab *lab);

#endif
