/* SPDX-License-Identifier: BSD-3-Clause
 * path_history.h - what became of a peer's paths lately
 *
 * For people who want to know why a peer is reached the way it is: the last
 * changes, oldest first. Made with the first one.
 * Source: wgengine/magicsock/endpoint.go (EndpointChange)
 */
#ifndef CORE_PATH_PATH_HISTORY_H
#define CORE_PATH_PATH_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "core/path/path_addr.h"

enum { TS_PATH_CHANGES_MAX = 32 };

enum ts_path_change_kind {
	TS_PATH_NEW_CANDIDATE, /* to: an address that may lead there */
	TS_PATH_NEW_BEST,      /* from, if there was one, to */
	TS_PATH_LOST,	       /* from; DERP from now on */
	TS_PATH_NEW_HOME,      /* to: another DERP region */
	TS_PATH_RESTARTED,     /* the peer has another disco key */
};

struct ts_path_change {
	enum ts_path_change_kind kind;
	uint64_t at_ms;
	struct ts_path_addr from, to; /* not set: there is none */
};

struct ts_path_history; /* NULL: nothing has happened */

/* Makes *h, if it has to; without memory nothing is kept. */
void ts_path_history_add(struct ts_path_history **h,
			 const struct ts_path_change *change);
/* Their count. */
size_t ts_path_history_read(const struct ts_path_history *h,
			    struct ts_path_change out[TS_PATH_CHANGES_MAX]);

#endif
