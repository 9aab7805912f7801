/* SPDX-License-Identifier: BSD-3-Clause
 * disco_internal.h - what disco_peer.c and disco_search.c share
 */
#ifndef CORE_PATH_DISCO_INTERNAL_H
#define CORE_PATH_DISCO_INTERNAL_H

#include "core/path/disco_peer.h"

/* -- disco_peer.c --------------------------------------------------------- */
/* A trusted path, and not through a relay? */
bool ts_disco_has_direct(const struct ts_disco_peer *p, uint64_t now_ms);
void ts_disco_clear_best(struct ts_disco_peer *p);

/* -- disco_search.c ------------------------------------------------------- */
void ts_disco_start_ping(struct ts_disco_peer *p, const struct ts_path_addr *to,
			 struct ts_disco_probe *probe, uint64_t now_ms);
/* to NULL: DERP. wire: as in the op. */
void ts_disco_start_sized_ping(struct ts_disco_peer *p,
			       const struct ts_path_addr *to, size_t wire,
			       struct ts_disco_probe *probe, uint64_t now_ms);
void ts_disco_ping_candidate(struct ts_disco_peer *p,
			     struct ts_disco_candidate *c, uint64_t now_ms);
/* Takes the ping; its probe may be over with it. */
void ts_disco_end_ping(struct ts_disco_peer *p, struct ts_disco_sent *ping,
		       struct ts_disco_probe *over);
/* Ping every candidate that was not pinged lately. */
void ts_disco_discover(struct ts_disco_peer *p, bool call_me_maybe,
		       uint64_t now_ms);
/* All over again, at once. */
void ts_disco_search(struct ts_disco_peer *p, bool call_me_maybe,
		     uint64_t now_ms);
/* repeat_ms has come. */
void ts_disco_repeat_pings(struct ts_disco_peer *p, uint64_t now_ms);
void ts_disco_discover_relays(struct ts_disco_peer *p, uint64_t now_ms);

#endif
