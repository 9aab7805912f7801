/* SPDX-License-Identifier: BSD-3-Clause
 * lab_peer_relay.h - a node of the tailnet that relays UDP for others
 */
#ifndef TESTS_LAB_LAB_PEER_RELAY_H
#define TESTS_LAB_LAB_PEER_RELAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/crypto/keys.h"

struct lab;
struct lab_derp;
struct lab_peer_relay;

/* Adds the node; it is offline, as nobody polls for it, but relays. 0 or a
 * negative errno. */
int lab_peer_relay_open(struct lab *lab, struct lab_peer_relay **out);
void lab_peer_relay_close(struct lab_peer_relay *relay); /* NULL is fine */
uint16_t lab_peer_relay_port(const struct lab_peer_relay *relay);
/* Off: it neither answers nor forwards. */
void lab_peer_relay_set_working(struct lab_peer_relay *relay, bool on);
/* A packet through DERP. False: not for the relay (which may be NULL). */
bool lab_peer_relay_packet(struct lab_peer_relay *relay, struct lab_derp *derp,
			   const struct ts_public_key *src,
			   const struct ts_public_key *dst, const uint8_t *pkt,
			   size_t len);
json_t *lab_peer_relay_stats(const struct lab_peer_relay *relay);

#endif
