/* SPDX-License-Identifier: BSD-3-Clause
 * lab_derp.h - a DERP server
 */
#ifndef TESTS_LAB_LAB_DERP_H
#define TESTS_LAB_LAB_DERP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/crypto/keys.h"

struct lab;
struct lab_derp;

/* 0 or a negative errno */
int lab_derp_open(struct lab *lab, const struct ts_addr *bind_to,
		  struct lab_derp **out);
void lab_derp_close(struct lab_derp *derp); /* NULL is fine */
uint16_t lab_derp_port(const struct lab_derp *derp);

/* -- trouble -------------------------------------------------------------- */
size_t lab_derp_drop_all(struct lab_derp *derp); /* how many connections */
int lab_derp_refuse(struct lab_derp *derp, bool on);
void lab_derp_stall(struct lab_derp *derp, bool on);
/* Take packets and forget them; all else works. */
void lab_derp_blackhole(struct lab_derp *derp, bool on);
/* Announce a restart to all clients, then close their connections. */
size_t lab_derp_restart(struct lab_derp *derp, uint32_t reconnect_in_ms);
/* Hold each packet back for so long; 0 ends it for packets to come. */
void lab_derp_delay(struct lab_derp *derp, uint64_t delay_ms);
/* Tell all clients of a problem; "" clears it. */
void lab_derp_health(struct lab_derp *derp, const char *text);
bool lab_derp_has_client(const struct lab_derp *derp,
			 const struct ts_public_key *key);
/* As if src, a client or not, had sent it. */
void lab_derp_inject(struct lab_derp *derp, const struct ts_public_key *src,
		     const struct ts_public_key *dst, const uint8_t *pkt,
		     size_t len);
/* Counters, and per pair of nodes what was relayed. */
json_t *lab_derp_stats(const struct lab_derp *derp);

#endif
