/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_internal.h - between the port mapping's files
 *
 *   portmap.c        the mapping's life, what is asked from outside
 *   portmap_search.c what the gateway speaks, and which of it is tried
 *   portmap_pxp.c    the conversation by NAT-PMP and PCP
 *   portmap_upnp.c   the conversation by UPnP
 */
#ifndef CORE_PATH_PORTMAP_INTERNAL_H
#define CORE_PATH_PORTMAP_INTERNAL_H

#include "core/path/portmap.h"

/* -- portmap.c ------------------------------------------------------------ */
void portmap_set_state(struct ts_portmap *p, enum ts_portmap_state next,
		       uint64_t timer_ms);
void portmap_send(struct ts_portmap *p, const void *data, size_t len);
void portmap_granted(struct ts_portmap *p, const struct ts_addr *external,
		     uint32_t lifetime_s, uint64_t now_ms);
void portmap_refused(struct ts_portmap *p, const char *why, uint64_t now_ms);
/* The gateway may know nothing of what it granted: it is asked again, unless
 * that was just done. */
void portmap_doubt(struct ts_portmap *p, const char *why, uint64_t now_ms);
void portmap_released(struct ts_portmap *p, uint64_t now_ms);

/* -- portmap_search.c ----------------------------------------------------- */
void portmap_probe(struct ts_portmap *p, uint64_t now_ms);
void portmap_look_at_probe(struct ts_portmap *p, uint64_t now_ms);
/* Who has not answered by now is not there. */
void portmap_end_window(struct ts_portmap *p);
void portmap_note_found(struct ts_portmap *p, enum ts_portmap_kind kind,
			enum ts_tristate value);
void portmap_tell_found(struct ts_portmap *p);
/* A search was answered. */
void portmap_answered(struct ts_portmap *p, uint64_t now_ms);
void portmap_input_ssdp(struct ts_portmap *p, const struct ts_ip *from,
			const uint8_t *pkt, size_t len, uint64_t now_ms);
void portmap_ask(struct ts_portmap *p, enum ts_portmap_kind kind,
		 uint64_t now_ms);
/* By what was found and not tried yet in this round; else rests. */
void portmap_ask_next(struct ts_portmap *p, uint64_t now_ms);
void portmap_rest(struct ts_portmap *p, uint64_t now_ms);

/* -- portmap_pxp.c: p->kind says by which of the two ---------------------- */
/* Asks for a mapping, or for the one that we have; until when to wait. */
uint64_t portmap_pxp_ask(struct ts_portmap *p, uint64_t now_ms);
void portmap_pxp_ask_again(struct ts_portmap *p, uint64_t now_ms);
uint64_t portmap_pxp_release(struct ts_portmap *p, uint64_t now_ms);
void portmap_pxp_release_again(struct ts_portmap *p, uint64_t now_ms);
/* Asks for the gateway's epoch. */
void portmap_pxp_check(struct ts_portmap *p);
void portmap_pxp_input(struct ts_portmap *p,
		       const struct ts_pxp_response *response, uint64_t now_ms);

#endif
